"""Planted faults that poison must bring to light: each takes the cure of one kind of poison out of the worker again."""

from dataclasses import replace
from typing import Any, NoReturn


def read_uncommitted() -> None:
    """Records of open and of aborted transactions are read as if they were committed."""
    from app.streams.engine.consumer_thread import ConsumerThread

    inner = ConsumerThread._create_worker_consumer

    def create(self: Any, transport: Any) -> Any:
        consumer = inner(self, transport)
        consumer._isolation_level = "read_uncommitted"
        return consumer

    ConsumerThread._create_worker_consumer = create  # type: ignore[method-assign]


def holes_at_markers() -> None:
    """Offsets without a record, as markers of transactions have, are taken for holes."""
    from app.streams.engine.consumer import Consumer

    inner = Consumer._slice

    async def only_records(self: Any, tp: Any, taken: Any) -> None:
        if taken.records:
            await inner(self, tp, replace(taken, first=taken.records[0].offset, end=taken.records[-1].offset + 1))

    Consumer._slice = only_records  # type: ignore[method-assign]


def gzip_alone() -> None:
    """Batches of the other codecs cannot be read."""
    from app.kafka import decompression

    for codec in (decompression.SNAPPY, decompression.LZ4, decompression.ZSTD):
        del decompression._CODECS[codec]


def header_names_in_utf8_alone() -> None:
    """The parser that takes header names of any bytes does not step in."""
    from app.kafka.record_batches import OpenBatch
    from app.kafka.record_format import RecordFormatError

    def refuse(self: Any, count: int, end: int) -> NoReturn:
        raise RecordFormatError("a header name is not UTF-8")

    OpenBatch._parsed_here = refuse  # type: ignore[method-assign]


def unbounded_inflation() -> None:
    """A batch is inflated whole, however large."""
    from app.kafka import partition_batches, record_batches

    record_batches.MAX_INFLATED_BYTES = partition_batches.MAX_INFLATED_BYTES = 1 << 40  # type: ignore[attr-defined]


def null_headers_raise() -> None:
    """The dead letter of a record with a null header value raises."""
    from app.records import dead_letters

    inner = dead_letters.pack  # type: ignore[attr-defined]

    def pack(key: Any, value: Any, headers: Any) -> Any:
        return inner(key, value, [(name, memoryview(text).tobytes()) for name, text in headers])

    dead_letters.pack = pack  # type: ignore[attr-defined]


def dead_letters_not_cut() -> None:
    """A dead letter keeps the whole record, and may be longer than its topic takes."""
    from app.records import dead_letter_content

    dead_letter_content.ROOM = 1 << 40


def no_row_limit() -> None:
    """A contact's row grows until Kafka takes it no more."""
    from app.domain.handlers import requests
    from app.streams.agents import row_guard

    limit = 1 << 40
    requests.ACTIVE_BYTES = row_guard.GROWTH_BYTES = row_guard.ROW_BYTES = limit  # type: ignore[attr-defined]


def campaigns_in_line() -> None:
    """Requests of many recipients are expanded where they stand, before what was produced behind them."""
    from app.streams.agents import intake

    intake.MOST_AT_ONCE = 1 << 30  # type: ignore[attr-defined]


def poison_guard_off() -> None:
    """A record that ends the process is never set aside."""
    from app.streams.engine import poison_guard

    poison_guard.DEATHS = 1 << 30


def cycles_not_contained() -> None:
    """A cycle that fails ends the process, whatever made it fail."""
    from app.streams.engine.cycle import Partition
    from app.streams.engine.process_exit import die

    def contain(self: Any, error: BaseException) -> NoReturn:
        die(f"cycle failed: {type(error).__name__}")

    Partition._contain = contain  # type: ignore[method-assign]
