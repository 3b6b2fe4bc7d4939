"""Dead letters as they stand on their topic: each with what became of it."""

from collections.abc import Collection, Sequence
from typing import Any, Literal

import msgspec
from aiokafka import AIOKafkaProducer

from app import clock
from app.cli.options.operator import operator_view, recorded
from app.config.settings import Settings
from app.kafka.client import client_settings
from app.kafka.topic_io import follow
from app.records.dead_letters import (
    DeadletterRecord,
    NotifyDeadletter,
    NotifyDeadletterHandled,
    NotifyDeadletterOpened,
    place_of,
)
from app.records.envelope import headers
from app.records.topics import Topics

Mark = NotifyDeadletterHandled | NotifyDeadletterOpened
View = dict[str, Any]
TYPES = {kind.__struct_config__.tag for kind in (NotifyDeadletter, NotifyDeadletterHandled, NotifyDeadletterOpened)}


class DeadLetterView(msgspec.Struct, kw_only=True):
    """`letter_id`: its partition-offset on the topic; `record`: the letter, `handled` and `opened` what came later."""

    letter_id: str
    partition: int
    key: bytes | None
    record: NotifyDeadletter
    handled: NotifyDeadletterHandled | None = None
    opened: list[NotifyDeadletterOpened] = []

    @property
    def topic(self) -> str:
        """The topic its record came from, `ingress` for the door's."""
        place = place_of(self.record.source)
        return place[0] if place else self.record.source.partition("-")[0]

    def view(self) -> View:
        """What may be shown without a key."""
        record, handled = self.record, self.handled
        return {
            "id": self.letter_id,
            "at": record.at,
            "source": record.source,
            "field": record.field,
            "rule": record.rule,
            "bytes": record.bytes,
            "cut": record.cut,
            "handled": None if handled is None else {"how": handled.how, "by": handled.by, "at": handled.at},
            "opened": [operator_view(msgspec.structs.asdict(opened)) for opened in self.opened],
        }


async def read_letters(
    topic: str, client: dict[str, Any], since_ms: int | None = None, wanted: Collection[str] | None = None
) -> dict[str, DeadLetterView]:
    """Letters by id, oldest first; all, or those `wanted`, whose payloads alone are kept."""
    letters: dict[str, DeadLetterView] = {}
    async for record, value in follow(topic, client, from_start=True, forever=False, since_ms=since_ms):
        if value.get("type") in TYPES:  # a later build may append more than this one knows
            letter_id = f"{record.partition}-{record.offset}"
            _note(letters, msgspec.convert(value, DeadletterRecord), record, letter_id, wanted)
    return letters


def _note(
    letters: dict[str, DeadLetterView], said: Any, record: Any, letter_id: str, wanted: Collection[str] | None
) -> None:
    match said:
        case NotifyDeadletter():
            if wanted is None or letter_id in wanted:
                kept = said if wanted is not None else msgspec.structs.replace(said, payload="", envelope="")
                place = {"letter_id": letter_id, "partition": record.partition, "key": record.key}
                letters[letter_id] = DeadLetterView(record=kept, **place)
        case NotifyDeadletterHandled() if said.letter in letters:
            letters[said.letter].handled = said
        case NotifyDeadletterOpened() if said.letter in letters:
            letters[said.letter].opened.append(said)


def newest_first(letters: dict[str, DeadLetterView]) -> list[DeadLetterView]:
    """By the time of the record each is about."""
    return sorted(letters.values(), key=lambda letter: letter.record.at, reverse=True)


def line(letter: DeadLetterView) -> str:
    """One letter as text."""
    record, handled = letter.record, letter.handled
    done = f"  {handled.how} by {handled.by} {handled.at}" if handled else ""
    field = f"{record.field}: " if record.field else ""
    size = f"{record.bytes} bytes{', cut' if record.cut else ''}"
    return f"{letter.letter_id:>10}  {record.at}  {record.source}  {field}{record.rule}  ({size}){done}"


async def append(settings: Settings, records: Sequence[tuple[DeadLetterView, Mark]]) -> None:
    """Marks beside their letters, each acknowledged."""
    async with DeadLetterProducer(settings) as producer:
        for letter, record in records:
            await mark(producer, settings, letter, record)


async def mark(producer: Any, settings: Settings, letter: DeadLetterView, record: Mark) -> None:
    """Beside its letter: same key, same partition."""
    where = {"key": letter.key, "partition": letter.partition}
    made = headers(str(record.__struct_config__.tag), record.id, record.at)
    await producer.send_and_wait(topic_of(settings), msgspec.json.encode(record), headers=made, **where)


class DeadLetterProducer:
    """A producer as an async context."""

    def __init__(self, settings: Settings) -> None:
        self._producer = AIOKafkaProducer(acks="all", max_request_size=1 << 22, **client_settings(settings))

    async def __aenter__(self) -> Any:
        try:
            await self._producer.start()
        except BaseException:
            await self._producer.stop()
            raise
        return self._producer

    async def __aexit__(self, *_: object) -> None:
        await self._producer.stop()


def handled(letter: DeadLetterView, how: Literal["retried", "dropped"], by: str) -> NotifyDeadletterHandled:
    """The mark of a letter that somebody is done with."""
    return NotifyDeadletterHandled(**about(letter), how=how, **recorded(by))


def about(letter: DeadLetterView) -> dict[str, str]:
    """What every mark says of its letter."""
    at = clock.iso(clock.now_ms())
    return {"id": clock.new_id(), "at": at, "letter": letter.letter_id, "source": letter.record.source}


def topic_of(settings: Settings) -> str:
    """Name of the topic of dead letters, with the prefix in force."""
    return Topics(settings.topic_prefix, settings.group).deadletters
