"""What an agent is to the engine: a fold over one slice of one partition, with rows, outputs and effects.

records ─> fold (per record, synchronous) ─> tick ─> outputs acked ─> changelog acked ─> store ─> settled ─> ack
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import msgspec

from app.errors import HeliographError
from app.kafka.record_format import HEADER_BYTES

R = TypeVar("R")
# What decoding a stored row raises if it is none of ours, or another build's.
UNREADABLE_ROW = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
Headers = list[tuple[str, bytes | None]]


class Input(NamedTuple):
    """One record of a slice. `at_ms`: its Kafka timestamp (LogAppendTime on our topics), ms since the epoch.

    `headers`: as Kafka has them. A name may occur twice, a value may be null, and a name that is not UTF-8 keeps its
    bytes as surrogate escapes.
    `unreadable`: why the record, or several in one batch, could not be read; its value is a part of it then. Such an
    input is never folded: it becomes a dead letter.
    """

    topic: str
    partition: int
    offset: int
    at_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    unreadable: str = ""

    @property
    def size(self) -> int:
        """Bytes that its fold counts for: of key and value, and HEADER_BYTES for each header."""
        return len(self.key or b"") + len(self.value or b"") + HEADER_BYTES * len(self.headers)


class Output(NamedTuple):
    """A record to produce. `partition` None: murmur2 of the key over the topic's partitions, as Java's default does."""

    topic: str
    key: bytes | None
    value: bytes | None
    partition: int | None = None
    headers: Headers = []


@dataclass(frozen=True, slots=True)
class TableSpec(Generic[R]):
    """A table an agent writes, co-partitioned with its topic. `decode` raises one of UNREADABLE_ROW for what is no
    row of ours, `watermark` never raises, and is -1 for such. `watermark` reads the offset of the last input folded off
    an encoded row: a re-created topic is found out before anything is folded, and a former owner's late write of an
    older row is not restored over a newer one. `vital`: its rows are in no other place; an empty changelog beside
    inputs that were folded ends the process."""

    name: str
    decode: Callable[[bytes], R]
    encode: Callable[[R], bytes]
    watermark: Callable[[bytes], int] | None = None
    vital: bool = False


class UnreadableRecordError(HeliographError):
    """The input cannot be read or breaks a rule: it goes to the dead letters, and the log moves on."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field}: {rule}")
        self.field, self.rule = field, rule


class FoldScope(Protocol):
    """The overlay of one cycle: rows as they will stand, and what will be produced."""

    def get(self, table: str, key: bytes) -> Any | None:
        """The row as it stands within this cycle, decoded; None if there is none."""
        ...

    def put(self, table: str, key: bytes, row: Any) -> None:
        """The row's new state; encoded once, at the cycle's end."""
        ...

    def drop(self, table: str, key: bytes) -> None:
        """Delete the row (a tombstone on the changelog)."""
        ...

    def emit(self, output: Output) -> None:
        """Produce this, before the rows."""
        ...

    def end_cycle(self) -> None:
        """Make all rows durable before another record of this partition is folded."""
        ...


class FoldingAgent(Protocol):
    """The part of an agent that rows follow from: the same in a cycle and in a replay."""

    name: str
    tables: Sequence[TableSpec[Any]]

    def row_keys(self, record: Input) -> Sequence[tuple[str, bytes]]:
        """Rows the fold of this record will want: read together before the fold."""
        ...

    def fold(self, record: Input, scope: FoldScope) -> Iterator[float] | None:
        """Fold one record, at once or in the steps of the iterator that it returns.

        A step yields the seconds to wait before the next one, 0.0 for none. The loop turns in between; the outputs of
        an agent without tables are produced there. A stop or a rebalance ends the fold between two steps: the record
        is left un-acked, and the next owner begins it anew.

        Raises UnreadableRecordError, also from a step; any other exception is a fault of ours (see `frozen`).
        """
        ...

    def frozen(self, record: Input, scope: FoldScope, error: Exception) -> None:
        """`fold` raised: what it put and emitted is undone and its dead letter is out; mark the row if there is one."""
        ...

    def set_aside(self, record: Input, scope: FoldScope) -> None:
        """The record will never be folded: emit what a replay must know to skip it too. `frozen` follows."""
        ...

    def dead_letter(self, record: Input, field: str, rule: str) -> Output:
        """The dead letter of a record, its payload sealed."""
        ...


class Agent(FoldingAgent, Protocol):
    """One agent may read one topic only (its tables follow that topic's partitions).

    `rest_s`: seconds a partition is not fetched after each small fetch, so that the next folds more at once; 0 for
    whatever somebody waits for.

    `background`: nobody waits for its records, and one may take long. Its slices hold one record each, do not count
    among those that wait, and its partition is not fetched while one of them is not done.
    """

    topic: str
    rest_s: float
    background: bool

    def tick(self, partition: int, scope: FoldScope) -> None:
        """After the records of a slice, and alone when woken."""
        ...

    def settled(self, partition: int, changed: Mapping[str, Mapping[bytes, Any | None]]) -> None:
        """Rows and outputs are durable: start effects, from the rows as they stand now."""
        ...

    def assigned(self, partition: int, rows: Mapping[str, Iterable[tuple[bytes, Any]]]) -> None:
        """The partition is ours and recovered; `rows` iterates each table, decoded, as it is now. An agent may read on
        while it folds, until `revoked`."""
        ...

    def revoked(self, partition: int) -> None:
        """The partition may be somebody else's from here."""
        ...
