"""`heliograph doubts`: attempts that may have been sent, and nobody knows; from the changelogs of all rows."""

import asyncio
import os
from collections.abc import Callable, Iterator
from typing import Any

import click
import msgspec

from app import clock
from app.cli.options.plural import plural
from app.cli.options.timestamps import moment
from app.cli.output import say, say_json
from app.cli.process.start import reaching_kafka, settings_or_exit
from app.domain.model.contact import Attempt, Contact, Message, in_doubt
from app.domain.model.vocabulary import CreateResult, Stage
from app.domain.rules.schedule import looks
from app.kafka.client import client_settings
from app.kafka.topic_io import follow
from app.records.topics import Topics

_contact, _message = msgspec.json.Decoder(Contact).decode, msgspec.json.Decoder(Message).decode


@click.command("doubts")
@click.option("--tenant", help="Only this tenant's.")
@click.option(
    "--since", callback=moment, help="Only those in doubt from then on: RFC 3339 with offset, or 30s, 2h ago."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per attempt and line.")
def command(tenant: str | None, since: int | None, as_json: bool) -> None:
    """List attempts in doubt. Prints the start of the doubt and the lookups made, oldest first.

    A message that ended `in_doubt` is listed for as long as it is kept (30 days).

    \b
    Examples:
      heliograph doubts
      heliograph doubts --since 1h --json
    """
    settings, _ = settings_or_exit(dict(os.environ))
    topics = Topics(settings.topic_prefix, settings.group)
    with reaching_kafka(settings):
        messages = asyncio.run(_messages(topics, client_settings(settings)))
    found = [told for message in messages for told in _doubts(message) if since is None or told["since_ms"] >= since]
    for told in sorted(found, key=lambda told: told["since_ms"]):
        since_ms = told.pop("since_ms")
        told = {"since": clock.iso(since_ms), **told}
        if tenant in (None, told["tenant"]):
            say_json(told) if as_json else say(_line(told))


async def _messages(topics: Topics, client: dict[str, Any]) -> list[Message]:
    """Messages with an attempt in doubt. The row of a message that is active again stays as it was: what the contact's
    row holds counts."""
    own = await _rows(topics.all["<app>-messages-changelog"].name, client, lambda value: [_message(value)])
    of_contacts = await _rows(
        topics.all["<app>-contacts-changelog"].name, client, lambda value: list(_contact(value).messages.values())
    )
    found = {message.id: message for messages in (*own.values(), *of_contacts.values()) for message in messages}
    now_ms = clock.now_ms()
    return [one for one in found.values() if not one.final_ms or one.final_ms + one.forget_after_ms > now_ms]


async def _rows(
    topic: str, client: dict[str, Any], messages_of: Callable[[bytes], list[Message]]
) -> dict[bytes, list[Message]]:
    """The messages of the last row of each key, where one of them has an attempt in doubt."""
    rows: dict[bytes, list[Message]] = {}
    async for record, _ in follow(topic, client, from_start=True, forever=False):
        messages = messages_of(record.value)
        if any(in_doubt(attempt) for message in messages for attempt in message.attempts):
            rows[record.key] = messages
        else:
            rows.pop(record.key, None)
    return rows


def _doubts(message: Message) -> Iterator[dict[str, Any]]:
    for attempt in message.attempts:
        if in_doubt(attempt):
            yield _told(message, attempt)


def _told(message: Message, attempt: Attempt) -> dict[str, Any]:
    looked = [clock.iso(at) for _, at in looks(message)]
    return {
        "since_ms": attempt.doubted_ms,
        "tenant": message.tenant,
        "lane": message.policy.lane if message.policy else "",
        "message_id": message.id,
        "attempt": attempt.n,
        "call": "no answer" if attempt.answer is CreateResult.OPEN else "an answer that proves nothing",
        "looks": attempt.looks,
        "next_look": looked[0] if looked else None,
        "sent_again_as": [later.n for later in message.attempts if later.n > attempt.n],
        "sent_again_at": clock.iso(message.due_ms) if message.stage is Stage.RETRYING else None,
        "outcome": message.word.value if message.word else None,
    }


def _line(told: dict[str, Any]) -> str:
    tried = [told["call"], f"{plural(told['looks'], 'look')} at Twilio's list"]
    tried += [f"next look {told['next_look']}"] if told["next_look"] else []
    tried += [f"sent again as attempt {n}" for n in told["sent_again_as"]]
    tried += [f"to be sent again {told['sent_again_at']}"] if told["sent_again_at"] else []
    tried += [f"outcome {told['outcome']}"] if told["outcome"] else []
    place = f"{told['tenant']}/{told['lane']}"
    return f"{told['since']}  {place}  {told['message_id']}  attempt {told['attempt']}  {', '.join(tried)}"
