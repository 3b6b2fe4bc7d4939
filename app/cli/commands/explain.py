"""`heliograph explain`: what happened to one message, input by input, from the contact's log folded again."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, NamedTuple

import click
import msgspec

from app import clock
from app.cli.options.operator import by_option
from app.cli.output import raw, say, say_json
from app.cli.process.exit_codes import OK, PROBLEMS, USAGE
from app.cli.process.start import reaching_kafka, settings_or_exit
from app.cli.queries.log_key import log_fingerprint
from app.cli.queries.message_state import state
from app.cli.queries.parked_requests import parked_requests, parked_words
from app.cli.queries.reveal_audit import record_message
from app.cli.queries.stopped_lanes import stopped_lanes
from app.cli.queries.worker_check import say_watching, silent, stopped_workers
from app.config.settings import Settings
from app.domain.fold import Folded
from app.domain.model.inputs import MessageRequested, RequestRejected
from app.domain.model.vocabulary import Stage
from app.domain.rules.placement import own_rows
from app.kafka.client import client_settings, kafka_error
from app.kafka.cluster_check import ClusterMismatchError
from app.kafka.topic_io import follow, partition_of
from app.records.caller_fields import open_caller_fields
from app.records.requests import MESSAGE_ID
from app.records.seal import Sealer, UnsealError
from app.records.topics import Topics
from app.streams.engine.agent import Input
from app.streams.replay.history import History, HistoryStep, told
from app.streams.replay.job import input_of
from app.streams.replay.replay import skipped_by

HIDDEN = (
    "sealed",
    "sealed_to",
    "sealed_caller_fields",
    "raw",
    "pk",
    "fingerprint",
    "tenant",
    "id",
    "message_id",
    "type",
    "policy",
)


@click.command("explain")
@click.argument("message_id")
@click.option("--reveal", is_flag=True, help="Open the seal (needs HELIOGRAPH_SEAL_KEYS); that it was is kept.")
@by_option
@raw
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def command(message_id: str, reveal: bool, by: str, as_json: bool) -> None:
    """Print the history of one message. Covers every input, decision, attempt and report, with times.

    Idempotency key, campaign and metadata need HELIOGRAPH_SEAL_KEYS. With --reveal recipient and text, too; who opened
    them is a record on notify.consent, which is kept for ever.

    \b
    Example:
      heliograph explain 7a031076e4d2147aa60c-979f8995cb98fd500dc0
    """
    settings, tenants = settings_or_exit(dict(os.environ))
    if not MESSAGE_ID.match(message_id):
        say("error: MESSAGE_ID: must be 20 hex digits, a dash, 20 hex digits", err=True)
        sys.exit(USAGE)
    if reveal and not settings.seal_keys:
        say("error: HELIOGRAPH_SEAL_KEYS: is required to reveal", err=True)
        sys.exit(USAGE)
    seals = SealAccess(Sealer(settings.seal_keys) if settings.seal_keys else None, reveal)
    with reaching_kafka(settings):
        workers = partial(stopped_workers, settings, tenants, silent if as_json else say_watching)
        steps, now = asyncio.run(_explained(message_id, settings, seals, by, workers))
    if not steps:
        say(now, err=True)
        sys.exit(PROBLEMS)
    if as_json:
        say_json({"message_id": message_id, "steps": steps, "now": now})
    else:
        for step in steps:
            for line in _lines(step):
                say(line)
        say(f"now  {now}")
    sys.exit(OK)


Steps = list[dict[str, Any]]
OTHER_KEY = "sealed by a key that is not here"


class SealAccess(NamedTuple):
    """`sealer`: opens what the caller sent along for itself, None without HELIOGRAPH_SEAL_KEYS; `reveal`: number and
    text are opened, too."""

    sealer: Sealer | None
    reveal: bool


async def _explained(
    message_id: str, settings: Settings, seals: SealAccess, by: str, stopped: Callable[[], Awaitable[str]]
) -> tuple[Steps, str]:
    """Every step, and what the message waits for now; of a message without steps, why it may have none.

    That the seal was opened, `by` whom, is recorded before this returns what was in it. `stopped`: that no worker makes
    progress, or "".
    """
    client, topics = client_settings(settings), Topics(settings.topic_prefix, settings.group)
    fingerprint = await log_fingerprint(settings, topics)
    steps, history = await _steps(message_id, topics, fingerprint, client, seals)
    contact, message = history.contact(message_id.partition("-")[0]), history.message(message_id)
    if contact is not None and any("body" in step["given"] for step in steps):
        await record_message(settings, contact.tenant, message_id, by)
    if not steps:
        missing, workers = await _unknown(topics, client), await stopped()
        return steps, f"{missing}: {workers}" if workers else missing
    if message is None:
        return steps, "forgotten"
    if message.stage in (Stage.FINAL, Stage.FLYING):  # no worker's table is asked
        return steps, state(message, {})
    rows = await stopped_lanes(topics, client)
    workers = await stopped()
    return steps, state(message, {(row.tenant, row.lane): row for row in rows}, workers)


async def _unknown(topics: Topics, client: dict[str, Any]) -> str:
    """Why there may be no step: messages of a parked request are not on the log yet. Their ids cannot be told."""
    try:
        parked = await parked_requests(topics, client)
    except (
        kafka_error(),
        ClusterMismatchError,
    ):  # whoever may read the contact log need not be allowed to read the group's offsets
        parked = 0
    missing = "there is no such message on the log"
    return f"{missing}; it may be one that is {parked_words(parked)}" if parked else missing


async def _steps(
    message_id: str, topics: Topics, pk: str, client: dict[str, Any], seals: SealAccess
) -> tuple[Steps, History]:
    records = await _records(message_id.partition("-")[0].encode(), topics.contacts, client)
    skipped = {offset for record in records if (offset := skipped_by(record)) is not None}
    history = History(topics, pk, skipped)
    steps = [step for one in told(history, records) if (step := _told(one, message_id, seals)) is not None]
    return steps, history


async def _records(contact: bytes, topic: str, client: dict[str, Any]) -> list[Input]:
    """The contact's part of the log."""
    partition = await partition_of(topic, contact, client)
    found = follow(topic, client, from_start=True, forever=False, partition=partition)
    return [input_of(record) async for record, _ in found if record.key == contact]


def _told(one: HistoryStep, message_id: str, seals: SealAccess) -> dict[str, Any] | None:
    """The step of an input that is about this message, or that was not folded: whom that was about cannot be told."""
    if one.folded is None:
        return _skipped(one.record)
    key, named = message_id.partition("-")[2], () if one.parsed is None else own_rows(None, one.parsed)
    mine = [event for event in one.folded.events if getattr(event, "key", key) == key]
    if key in named or (not named and mine):
        return _step(one.parsed, one.record, mine, one.folded, seals)
    return None


def _skipped(record: Input) -> dict[str, Any]:
    step = {"at": clock.iso(record.at_ms), "offset": record.offset, "input": "set_aside"}
    return step | {"given": {}, "decided": [], "effects": []}


def _step(parsed: Any, record: Input, events: list[Any], folded: Folded, seals: SealAccess) -> dict[str, Any]:
    given = _shown(msgspec.to_builtins(parsed))
    if isinstance(parsed, MessageRequested | RequestRejected):
        given |= _shown(_caller_fields(parsed, seals.sealer))
    if seals.reveal and seals.sealer is not None and isinstance(parsed, MessageRequested):
        given |= _revealed(parsed, seals.sealer)
    effects = [msgspec.to_builtins(effect) | {"effect": type(effect).__name__} for effect in folded.effects]
    return {
        "at": clock.iso(record.at_ms),
        "offset": record.offset,
        "input": parsed.__struct_config__.tag,
        "given": given,
        "decided": [_event(event) for event in events],
        "effects": effects,
    }


def _shown(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in HIDDEN and value not in ("", None, 0, {})}


def _caller_fields(parsed: MessageRequested | RequestRejected, sealer: Sealer | None) -> dict[str, Any]:
    """Idempotency key, campaign, metadata and request id, or why they cannot be shown."""
    if sealer is None:
        return {"caller_fields": "sealed (HELIOGRAPH_SEAL_KEYS opens them)"}
    try:
        fields = open_caller_fields(sealer, parsed.sealed_caller_fields, parsed.tenant, parsed.message_id)
    except UnsealError:
        return {"caller_fields": OTHER_KEY}
    return msgspec.structs.asdict(fields)


def _revealed(parsed: MessageRequested, sealer: Sealer) -> dict[str, Any]:
    try:
        content = sealer.open_content(parsed.sealed, parsed.tenant, parsed.message_id)
    except UnsealError:
        return {"content": OTHER_KEY}
    shown = {"to": content.to, "body": content.body, "media": list(content.media)}
    return shown | ({"media_fallback": content.link} if content.link else {})


def _event(event: Any) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(event)
    told.pop("message", None)
    told.pop("key", None)
    return {name: value for name, value in told.items() if value not in ("", None, 0)}


def _lines(step: dict[str, Any]) -> list[str]:
    given = " ".join(f"{k}={v}" for k, v in step["given"].items() if k not in ("at", "requested_ms"))
    lines = [f"{step['at']}  {step['input']}  {given}"]
    for event in step["decided"]:
        words = " ".join(f"{k}={v}" for k, v in event.items() if k not in ("event", "at_ms", "offset"))
        lines.append(f"    decided {event['event']}  {words}")
    return lines + [f"    told the lane {effect['effect']}" for effect in step["effects"]]
