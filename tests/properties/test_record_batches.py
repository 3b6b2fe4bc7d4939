"""Reading batches: exactly the committed records in order, whatever their content, codec, batches and transactions."""

from collections.abc import Sequence
from typing import NamedTuple

from aiokafka.record.default_records import DefaultRecordBatchBuilder
from hypothesis import given
from hypothesis import strategies as st

from app.kafka.partition_batches import BatchPart
from tests.support.batches import TRANSACTIONAL, ProducedBatch, batch, batches, marker, take_all

names = st.one_of(st.text(max_size=5), st.binary(max_size=5).map(lambda raw: raw.decode("utf-8", "surrogateescape")))
encodable = names.filter(lambda name: _roundtrips(name))
fields = st.none() | st.binary(max_size=40) | st.integers(100, 9000).map(lambda n: b"\0" * n)
records = st.builds(ProducedBatch, fields, fields, st.lists(st.tuples(encodable, fields), max_size=3))


def _roundtrips(name: str) -> bool:
    try:
        return name.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape") == name
    except UnicodeEncodeError:
        return False


class Step(NamedTuple):
    """A batch of a producer; `end`: a marker follows it, True commits. Producer 0 makes no transactions."""

    producer: int
    records: list[ProducedBatch]
    codec: int
    end: bool | None


steps = st.builds(
    Step,
    st.integers(0, 2),
    st.lists(records, min_size=1, max_size=12) | st.lists(st.just(ProducedBatch(None, b"")), min_size=60, max_size=90),
    st.integers(0, 4),
    st.none() | st.booleans(),
)


class Log(NamedTuple):
    """`frames`: offset and bytes of each batch. `aborted`: producer, first offset and offset of the marker of each."""

    frames: list[tuple[int, bytes]]
    aborted: list[tuple[int, int, int]]
    committed: dict[int, ProducedBatch]
    end: int


def log_of(script: Sequence[Step]) -> Log:
    """The log; at its end every transaction that is open still is aborted."""
    frames, aborted, committed, offset = (
        list[tuple[int, bytes]](),
        list[tuple[int, int, int]](),
        dict[int, ProducedBatch](),
        0,
    )
    open_at: dict[int, int] = {}
    held: dict[int, dict[int, ProducedBatch]] = {}
    last = [Step(producer, [], 0, False) for producer in (1, 2)]
    for step in (*script, *last):
        placed = {offset + n: one for n, one in enumerate(step.records)}
        if step.records:
            kind = TRANSACTIONAL if step.producer else 0
            frames.append((offset, batch(offset, step.records, step.codec, kind, step.producer or -1)))
        if not step.producer:
            committed |= placed
        else:
            if step.records:
                open_at.setdefault(step.producer, offset)
            held.setdefault(step.producer, {}).update(placed)
        offset += len(step.records)
        if step.producer and step.end is not None and step.producer in open_at:
            frames.append((offset, marker(offset, step.producer, commit=step.end)))
            first, kept = open_at.pop(step.producer), held.pop(step.producer)
            committed |= kept if step.end else {}
            aborted += [] if step.end else [(step.producer, first, offset)]
            offset += 1
    return Log(frames, aborted, committed, offset)


def named(log: Log, position: int) -> list[tuple[int, int]]:
    """The aborted transactions that a broker names: those that did not end before the position."""
    return [(producer, first) for producer, first, ended in log.aborted if ended >= position]


def fetched(log: Log, position: int, cut: int) -> bytes:
    """What a broker answers: from the batch that holds the position, and a part of one more at the end."""
    ends = [first for first, _ in log.frames[1:]] + [log.end]
    data = b"".join(frame for (_, frame), end in zip(log.frames, ends, strict=True) if end > position)
    return data + batch(log.end, [ProducedBatch(b"next", b"x" * 50)])[:cut]


def joined(turns: Sequence[BatchPart]) -> list[tuple[int, int]]:
    return [(turn.first, turn.end) for turn in turns if turn.end > turn.first]


@given(st.lists(steps, min_size=1, max_size=6), st.data())
def test_exactly_the_committed_records_come_in_order_and_their_ranges_cover_the_log(script, data) -> None:
    log = log_of(script)
    position = data.draw(st.integers(0, log.end - 1))
    most, size = data.draw(st.integers(1, 100)), data.draw(st.integers(1, 20_000))
    reader = batches(fetched(log, position, data.draw(st.integers(0, 60))), position, named(log, position))
    turns = take_all(reader, most, size)
    got = {r.offset: ProducedBatch(r.key, r.value, r.headers) for turn in turns for r in turn.records}
    assert got == {offset: one for offset, one in log.committed.items() if offset >= position}
    assert [r.offset for turn in turns for r in turn.records] == sorted(got)
    assert all(not r.unreadable and r.timestamp == 1000 + r.offset for turn in turns for r in turn.records)
    ranges = joined(turns)
    assert [first for first, _ in ranges] == [position, *[end for _, end in ranges[:-1]]] and ranges[-1][1] == log.end
    assert all(len(turn.records) <= most for turn in turns)
    assert all(turn.first <= r.offset < turn.end for turn in turns for r in turn.records)


@given(st.lists(steps, min_size=3, max_size=6), st.data())
def test_a_batch_that_is_missing_is_a_gap_between_two_turns_and_in_a_compacted_log_none(script, data) -> None:
    log = log_of([step._replace(producer=0) for step in script])
    missing = data.draw(st.integers(1, len(log.frames) - 2))
    first, after = log.frames[missing][0], log.frames[missing + 1][0]
    left = b"".join(frame for n, (_, frame) in enumerate(log.frames) if n != missing)
    ranges = joined(take_all(batches(left), 10_000, 1 << 30))
    assert ranges == [(0, first), (after, log.end)]
    assert joined(take_all(batches(left, consecutive=False), 10_000, 1 << 30)) == [(0, log.end)]


plain = st.builds(ProducedBatch, fields, fields, st.lists(st.tuples(st.text("abcé", max_size=4), fields), max_size=3))


@given(st.lists(plain, min_size=1, max_size=20), st.integers(0, 4), st.booleans())
def test_what_aiokafkas_own_builder_makes_is_read(made, codec, transactional) -> None:
    builder = DefaultRecordBatchBuilder(2, codec, transactional, 7, 0, 0, 1 << 24)
    for n, one in enumerate(made):
        builder.append(n, 1000 + n, one.key, one.value, one.headers)
    turns = take_all(batches(bytes(builder.build())))
    assert [ProducedBatch(r.key, r.value, r.headers) for turn in turns for r in turn.records] == made
