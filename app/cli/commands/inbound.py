"""`heliograph inbound`: what a person wrote, as it stands on the log; opened only on demand, and that is kept."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from typing import Any

import click
import msgspec
import orjson

from app import clock
from app.cli.options.operator import by_option, operator_view
from app.cli.output import raw, say, say_json
from app.cli.process.exit_codes import OK, PROBLEMS, USAGE, give_up
from app.cli.process.start import reaching_kafka, settings_or_exit
from app.cli.queries.reveal_audit import record_inbound
from app.config.settings import Settings
from app.domain.content.surrogates import valid_text
from app.domain.model.inputs import TextArrived
from app.kafka.client import client_settings
from app.kafka.cluster_check import require_topics
from app.kafka.partition_reader import PartitionReader
from app.provider.webhook_forms import read_form, read_json
from app.records.seal import Sealer, UnsealError
from app.records.topics import Topics
from app.records.webhooks import RawWebhook

SID = re.compile(r"(SM|MM)[0-9a-fA-F]{32}\Z")
HIDDEN = {"sealed", "raw", "pk", "at", "type", "id"}
_decode = msgspec.json.Decoder(TextArrived).decode
_decode_raw = msgspec.json.Decoder(RawWebhook).decode


class InboundView(msgspec.Struct, frozen=True, kw_only=True):
    """A text on the log, and who opened it before."""

    contact_id: str
    place: str
    text: TextArrived
    opened: list[dict[str, str]]

    def view(self) -> dict[str, Any]:
        """What may be shown without a key."""
        told = {name: value for name, value in msgspec.to_builtins(self.text).items() if name not in HIDDEN}
        at = clock.iso(self.text.at)
        return {"at": at, "contact_id": self.contact_id, "place": self.place, **told, "opened": self.opened}


@click.group("inbound")
def command() -> None:
    """Show texts that people sent to you."""


@command.command("show")
@click.argument("sid")
@click.option("--reveal", is_flag=True, help="Open the seal (needs HELIOGRAPH_SEAL_KEYS); that it was is kept.")
@by_option
@raw
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def show(sid: str, reveal: bool, by: str, as_json: bool) -> None:
    """Show one inbound text by its Twilio SID. With --reveal number, words, and every field of the webhook as it came.

    The contact log keeps it for 30 days. Who opened it is a record on notify.consent, which is kept for ever.

    \b
    Examples:
      heliograph inbound show SM5476974132bc4b7192ba5b918e485cf6
      heliograph inbound show SM5476974132bc4b7192ba5b918e485cf6 --reveal --by ada --json
    """
    settings, _ = settings_or_exit(dict(os.environ))
    if not SID.match(sid):
        give_up("SID: must be SM or MM and 32 hex digits")
    if reveal and not settings.seal_keys:
        give_up("HELIOGRAPH_SEAL_KEYS: is required to open a text", code=USAGE)
    with reaching_kafka(settings):
        sys.exit(asyncio.run(_show(settings, sid, reveal, by, as_json)))


async def _show(settings: Settings, sid: str, reveal: bool, by: str, as_json: bool) -> int:
    topics = Topics(settings.topic_prefix, settings.group)
    if (found := await find(settings, topics, sid)) is None:
        give_up(f"{sid}: is no inbound text on {topics.contacts}", code=PROBLEMS)
    view = found.view()
    if reveal:
        revealed = _revealed(settings, found)
        await record_inbound(settings, found.text.tenant, found.contact_id, sid, by)
        view |= revealed
    if as_json:
        say_json(view)
        return OK
    for name, value in view.items():
        say(f"{name:16} {value if isinstance(value, str | int) else orjson.dumps(value).decode()}")
    return OK


async def find(settings: Settings, topics: Topics, sid: str) -> InboundView | None:
    """The text of that SID, one whose webhook came before one that was found on Twilio's list."""
    client, texts, opened = client_settings(settings), list[InboundView](), list[dict[str, str]]()
    await require_topics(client, [topics.contacts, topics.consent])
    async with PartitionReader(client) as logs:
        async for value, _ in _naming(logs, topics.consent, sid):
            if value.get("type") == "notify.inbound_opened.v1" and value["message_sid"] == sid:
                opened.append(operator_view(value))
        async for value, record in _naming(logs, topics.contacts, sid):
            if value.get("type") == "contact.texted.v1" and value["sid"] == sid:
                place = f"{record.partition}-{record.offset}"
                text = _decode(record.value)
                texts.append(InboundView(contact_id=record.key.decode(), place=place, text=text, opened=opened))
    return next((found for found in texts if found.text.raw), texts[0] if texts else None)


async def _naming(logs: PartitionReader, topic: str, sid: str) -> AsyncIterator[tuple[dict[str, Any], Any]]:
    """Value and record of all that hold the SID anywhere."""
    needle = sid.encode()
    for number in await logs.partitions(topic):
        async for records in logs.read(topic, number, *await logs.span(topic, number)):
            for record in records:
                if record.value is not None and needle in record.value:
                    yield orjson.loads(record.value), record


def _revealed(settings: Settings, found: InboundView) -> dict[str, Any]:
    """Exit 1 if no key of ours opens it."""
    sealer, text = Sealer(settings.seal_keys), found.text
    try:
        content = sealer.open_content(text.sealed, text.tenant, text.sid)
        raw = _decode_raw(sealer.open(text.raw, text.tenant, text.sid)) if text.raw else None
    except UnsealError:
        give_up(f"{text.sid}: is sealed by a key that is not in HELIOGRAPH_SEAL_KEYS", code=PROBLEMS)
    told = {"from": content.to, "to": content.sender, "body": content.body, "media": list(content.media)}
    return told | ({"webhook": webhook(raw)} if raw else {})


def webhook(raw: RawWebhook) -> dict[str, Any]:
    """As it came, and its fields; a body that is no UTF-8 is shown byte by byte."""
    body = raw.body.encode("latin-1")
    fields = [(valid_text(n), valid_text(v)) for n, v in (read_form(body) if raw.form else read_json(body))]
    return {
        "kind": raw.kind,
        "query": raw.query,
        "fields": fields,
        "body": _text(body) or raw.body,
        "signature": raw.signature,
        "settings": raw.settings,
    }


def _text(body: bytes) -> str:
    """ "" if it is not in UTF-8."""
    try:
        return body.decode()
    except UnicodeDecodeError:
        return ""
