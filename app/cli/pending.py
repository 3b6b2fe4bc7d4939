"""What a message without an outcome waits for, in words: from its row, and the lanes that are stopped."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import msgspec

from app import clock
from app.cli.stopped import why
from app.cli.topicio import follow
from app.domain.contact import Contact, Message, in_doubt
from app.domain.words import Stage
from app.records.lanes import Stopped
from app.records.topics import Topics

_contact, _message = msgspec.json.Decoder(Contact).decode, msgspec.json.Decoder(Message).decode
# Messages of a row, by table. What a contact's row holds is newer than the row that the message may have of its own.
_TABLES: Mapping[str, Callable[[bytes], Collection[Message]]] = {
    "messages": lambda row: (_message(row),),
    "contacts": lambda row: _contact(row).messages.values(),
}
Identity = tuple[str, str, str]  # tenant, idempotency key, masked recipient: what an outcome shows of its message
Lanes = Mapping[tuple[str, str], Stopped]


async def taken_messages(
    topics: Topics, client: dict[str, Any], wanted: Collection[Identity]
) -> dict[Identity, list[Message]]:
    """Those that a worker has taken, what is over last. Two numbers may share a mask."""
    found = dict[str, Message]()
    for table, messages_of in _TABLES.items():
        topic = topics.all[f"<app>-{table}-changelog"].name
        held = dict[bytes, list[Message]]()
        async for record, _ in follow(topic, client, from_start=True, forever=False):
            # Of each row only the last record counts.
            named = [m for m in messages_of(record.value) if (m.tenant, m.idempotency_key, m.masked) in wanted]
            if named or record.key in held:
                held[record.key] = named
        found |= {message.id: message for messages in held.values() for message in messages}
    by_name: dict[Identity, list[Message]] = {}
    for message in sorted(found.values(), key=lambda message: message.stage is Stage.FINAL):
        by_name.setdefault((message.tenant, message.idempotency_key, message.masked), []).append(message)
    return by_name


def lane_of(message: Message) -> tuple[str, str]:
    """Tenant and lane."""
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
        doubtful = any(in_doubt(attempt) for attempt in message.attempts)
        return "in doubt: heliograph doubts" if doubtful else "with Twilio: its last report is not there"
    if (row := stopped.get(lane_of(message))) is not None:
        return f"lane {row.lane}: {why(row)}"
    return _when(message)


def _when(message: Message) -> str:
    if message.stage is Stage.WAITING:
        return f"waits for its turn on lane {lane_of(message)[1]}"
    word = {Stage.SCHEDULED: "scheduled for", Stage.HELD: "held until"}.get(message.stage, "tried again at")
    return f"{word} {clock.iso(message.due_ms)}"
