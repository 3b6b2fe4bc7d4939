"""What became of every random record, read off the topics: inputs of contacts, parked requests, dead letters, outcomes."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

from app.kafka.batch_watch import SET_ASIDE
from app.records.codec import InvalidFieldError, decode
from app.records.dead_letters import FAULT, NotifyDeadletter, open_letter
from app.records.seal import Sealer
from tests.support.fuzz_producers import WrittenRecord

PARTITIONS = 8
READ = ("contacts", "bulk", "notify.deadletters", "notify.outcomes")
INPUTS = ("contact.requested.v1", "contact.rejected.v1", "contact.cancel_requested.v1")


class PolicyTimes(msgspec.Struct):
    """Of a policy."""

    start_ms: int = 0


class ObservedRecord(msgspec.Struct):
    """What is read of a record of ours."""

    type: str
    id: str = ""
    message_id: str = ""
    source: str = ""
    revision: int = 0
    outcome: str = ""
    reason: str = ""
    rule: str = ""
    policy: PolicyTimes | None = None


_seen = msgspec.json.Decoder(ObservedRecord)
_letter = msgspec.json.Decoder(NotifyDeadletter)


class Accounts:
    """Follows the topics. `letters` by source, as they were read; `faults`: letters that blame us; `messages`: by the source of a request its messages;
    `outcomes`: how many first revisions a message has; `later`: messages that are not to be sent before this time, ms
    since the epoch."""

    def __init__(self, servers: str, prefix: str) -> None:
        self._prefix = prefix
        given = {"bootstrap.servers": servers, "group.id": f"{prefix}accounts", "enable.auto.commit": False}
        self._consumer = Consumer(given)
        self._consumer.assign(
            [TopicPartition(prefix + topic, n, OFFSET_BEGINNING) for topic in READ for n in range(PARTITIONS)]
        )
        self.letters: dict[str, bytes] = {}
        self.faults: list[ObservedRecord] = []
        self.messages: dict[str, Counter[str]] = {}
        self.rejected: set[str] = set()
        self.canceled: set[str] = set()
        self.parked: set[str] = set()
        self.outcomes: Counter[str] = Counter()
        self.later: dict[str, int] = {}

    def follow(self) -> None:
        """Read what was written since."""
        while records := self._consumer.consume(5000, 0.3):
            for record in records:
                assert record.error() is None, record.error()
                self._take(record)

    def close(self) -> None:
        """Leave."""
        self._consumer.close()

    def _take(self, record: Message) -> None:
        try:
            seen: ObservedRecord = decode(_seen, record.value())
        except InvalidFieldError:
            return  # one of the random ones, on a topic of ours
        source = seen.source or seen.id
        match seen.type:
            case "notify.deadletter.v1":
                self.letters[source] = record.value() or b""
                self.faults += [seen] if seen.rule.startswith((FAULT, SET_ASIDE)) else []
            case "notify.outcome.v1" if seen.revision == 1:
                self.outcomes[seen.message_id] += 1
            case "bulk.parked.v1" if self._is_request(source):
                self.parked.add(source)
            case kind if kind in INPUTS and self._is_request(source):
                self._take_input(kind, source, seen)

    def _is_request(self, source: str) -> bool:
        return source.startswith(f"{self._prefix}notify.requests-")

    def _take_input(self, kind: str, source: str, seen: ObservedRecord) -> None:
        if kind == "contact.cancel_requested.v1":
            self.canceled.add(source)
            return
        self.messages.setdefault(source, Counter())[seen.message_id] += 1
        if kind == "contact.rejected.v1" and seen.reason != "sandboxed":
            self.rejected.add(source)
        if seen.policy is not None:
            self.later.setdefault(
                seen.message_id, seen.policy.start_ms
            )  # what comes later under its key changes nothing

    # -- judging

    def lost(self, written: Sequence[WrittenRecord]) -> list[WrittenRecord]:
        """Committed records of which nothing came: no input of a contact and no dead letter."""
        return [one for one in written if one.committed and not self._came(one)]

    def raised(self, written: Sequence[WrittenRecord]) -> list[WrittenRecord]:
        """Records of aborted transactions of which something came."""
        return [one for one in written if not one.committed and (self._came(one) or one.place in self.parked)]

    def miscounted(self, written: Sequence[WrittenRecord]) -> list[tuple[WrittenRecord, int]]:
        """Requests that break no rule and became another number of messages, or a dead letter (-1)."""
        sure = [one for one in written if one.committed and one.record.messages is not None]
        found = [(one, -1 if one.place in self.letters else self._count(one)) for one in sure]
        return [(one, count) for one, count in found if count != one.record.messages]

    def without_outcome(self, now_ms: int) -> list[str]:
        """Messages that should have one outcome by now and have none, or several."""
        every = {message for messages in self.messages.values() for message in messages}
        return [m for m in every if self.outcomes[m] != 1 and (self.outcomes[m] or self.later.get(m, 0) < now_ms)]

    def unlettered(self) -> list[str]:
        """Sources of requests that were rejected and have no dead letter."""
        return [s for s in self.rejected if s not in self.letters]

    def unopened(self, written: Sequence[WrittenRecord], sealer: Sealer) -> Iterator[WrittenRecord]:
        """Records whose dead letter does not hold them."""
        for one in written:
            if (letter := self.letters.get(one.place)) is not None and not _holds(letter, one, sealer):
                yield one

    def _came(self, one: WrittenRecord) -> bool:
        return one.place in self.letters or one.place in self.messages or one.place in self.canceled

    def _count(self, one: WrittenRecord) -> int:
        return self.messages.get(one.place, Counter()).total()


def _holds(letter: bytes, one: WrittenRecord, sealer: Sealer) -> bool:
    read = _letter.decode(letter)
    opened, record = open_letter(sealer, read), one.record
    if read.rule.startswith("the record has"):  # too large to be read at all
        return (record.value or b"").startswith(opened.value or b"") and not opened.headers
    if read.bytes != len(record.value or b"") or bool(opened.cut) != read.cut:
        return False
    kept = {"key": opened.key, "value": opened.value, "headers": opened.headers}
    given: dict[str, Any] = {"key": record.key, "value": record.value, "headers": record.headers}
    return all(
        part == given[name] or (name in opened.cut and _begins(given[name], part)) for name, part in kept.items()
    )


def _begins(whole: Any, part: Any) -> bool:
    return bool(whole[: len(part)] == part)
