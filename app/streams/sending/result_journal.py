"""Answers: Twilio's word on a create call, journalled on our own disk until it is on the contact's log."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

import msgspec

from app import telemetry
from app.domain.model.inputs import CreateReturned
from app.domain.model.vocabulary import CreateResult
from app.streams.engine import failpoints
from app.streams.engine.agent import Output

_log = telemetry.logger(__name__)
_encode = msgspec.json.Encoder().encode


class AppendJournal(Protocol):
    """What `records.journal` offers: entries are fsynced when `keep` returns, and forgotten by `done`."""

    async def keep(self, entry_id: str, value: bytes) -> None:
        """Keep `value` under `entry_id` across a crash."""
        ...

    def done(self, entry_id: str) -> None:
        """The entry is on the log."""
        ...

    def pending(self) -> Iterable[tuple[str, bytes]]:
        """Entries kept by an earlier process and not done."""
        ...


class ResultJournal:
    """Puts answers on topic `contacts`; `send` returns when the broker acknowledged, or refused for what the record is:
    it would refuse it for ever. Its attempt comes to be in doubt then, as without an answer."""

    def __init__(self, topic: str, journal: AppendJournal, send: Callable[[Output], Awaitable[object]]) -> None:
        self._topic, self._journal, self._send = topic, journal, send

    async def put(self, partition: int, answered: CreateReturned) -> None:
        """Journal, log, forget. An abandoned call left nothing at Twilio that a crash could hide: no journal for it."""
        value = _encode(answered)
        if answered.answer is not CreateResult.ABANDONED:
            failpoints.reach("after_answer")
            await self._journal.keep(answered.id, value)
            failpoints.reach("after_journal")
        await self._send(Output(self._topic, _contact(answered.message_id), value, partition))
        self._journal.done(answered.id)

    async def replay(self) -> int:
        """Send what an earlier process left behind; the fold knows repeats. Returns how many."""
        left = tuple(self._journal.pending())
        for entry_id, value in left:
            try:
                answered = msgspec.json.decode(value, type=CreateReturned)
            except msgspec.DecodeError as error:
                # It stays in the journal, for the build that wrote it.
                _log.error("answer.unreadable", error=type(error).__name__, bytes=len(value))
                continue
            await self._send(Output(self._topic, _contact(answered.message_id), value))
            self._journal.done(entry_id)
        return len(left)


def _contact(message_id: str) -> bytes:
    return message_id.partition("-")[0].encode()
