"""What a message without an outcome waits for, in words: from its row, and the lanes that are stopped."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import msgspec

from app import clock
from app.cli.queries.stopped_lanes import why
from app.domain.model.contact import Contact, Message, in_doubt
from app.domain.model.vocabulary import Stage
from app.domain.rules.schedule import held
from app.kafka.topic_io import follow
from app.records.lanes import StoppedLane
from app.records.topics import Topics

_contact, _message = msgspec.json.Decoder(Contact).decode, msgspec.json.Decoder(Message).decode
# Messages of a row, by table. What a contact's row holds is newer than the row that the message may have of its own.
_TABLES: Mapping[str, Callable[[bytes], Collection[Message]]] = {
    "messages": lambda row: (_message(row),),
    "contacts": lambda row: _contact(row).messages.values(),
}
Lanes = Mapping[tuple[str, str], StoppedLane]


async def taken_messages(topics: Topics, client: dict[str, Any], wanted: Collection[str]) -> dict[str, Message]:
    """Those of the message ids `wanted` that a worker has taken, by id."""
    found = dict[str, Message]()
    for table, messages_of in _TABLES.items():
        topic = topics.all[f"<app>-{table}-changelog"].name
        held = dict[bytes, list[Message]]()
        async for record, _ in follow(topic, client, from_start=True, forever=False):
            # Of each row only the last record counts.
            named = [message for message in messages_of(record.value) if message.id in wanted]
            if named or record.key in held:
                held[record.key] = named
        found |= {message.id: message for messages in held.values() for message in messages}
    return found


def lane_of(message: Message) -> tuple[str, str]:
    """The tenant and the lane of the message."""
    return message.tenant, message.policy.lane if message.policy else ""


def state(message: Message, stopped: Lanes, workers: str = "") -> str:
    """What it waits for, or how it ended. `workers`: that none makes progress, or ""."""
    if message.stage is Stage.FINAL:
        return f"ended: {message.word or ''} ({message.reason or ''})"
    return _waits(message, stopped) + (f"; {workers}" if workers else "")


def not_taken(workers: str) -> str:
    """Of a message that is in no row; `workers` as in `state`."""
    return "no worker has taken it yet" + (f": {workers}" if workers else "")


def _waits(message: Message, stopped: Lanes) -> str:
    if message.stage is Stage.FLYING:
        return _at_twilio(message)
    if (row := stopped.get(lane_of(message))) is not None:
        return f"lane {row.lane}: {why(row)}"
    return _when(message)


def _at_twilio(message: Message) -> str:
    if any(in_doubt(attempt) for attempt in message.attempts):
        return "in doubt: heliograph doubts"
    if held(message) is not None and message.policy is not None:
        return f"scheduled at Twilio for {clock.iso(message.policy.start_ms)}"
    return "with Twilio: its last report is not there"


def _when(message: Message) -> str:
    """The row of a scheduled message keeps the time in its policy; `due_ms` is that of a retry alone."""
    if message.stage is Stage.SCHEDULED and message.policy is not None:
        return f"scheduled for {clock.iso(message.policy.start_ms)}"
    if message.stage is Stage.RETRYING:
        return f"tried again at {clock.iso(message.due_ms)}"
    return f"waits for its turn on lane {lane_of(message)[1]}"
