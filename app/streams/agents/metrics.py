"""Agent `metrics`: folds `notify.updates` into per-minute windows on `notify.metrics`, absolute values.

Rows are windows, each with the cause of the last update counted in it (see `domain.windows`), so a crash that keeps
some rows of a cycle and loses others neither loses nor doubles a count. What is open stays in memory: the rows are
written, and read only at the assignment.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from app.domain.metrics.series import Counting, Lists
from app.domain.metrics.windows import BOUNDS, KEPT_MS, WINDOW_MS, Window, Windows
from app.records.codec import InvalidFieldError as BadRecord
from app.records.codec import decode
from app.records.metrics import NotifyMetric
from app.records.numbers import NotifyNumberChanged
from app.records.updates import NotifyUpdated
from app.streams.agents.dead_letters import DeadLetters
from app.streams.engine.agent import UNREADABLE_ROW, FoldScope, Input, Output, TableSpec, UnreadableRecordError

METRICS = "metrics"
# A board is looked at every few seconds; at 50 messages/s a cycle per update would be half of all cycles.
REST_S = 1.0


class _PartitionWindows(msgspec.Struct):
    offset: int = -1


_stand = msgspec.json.Decoder(_PartitionWindows).decode


def _watermark(row: bytes) -> int:
    try:
        return _stand(row).offset
    except UNREADABLE_ROW:
        return -1


_spec = TableSpec(METRICS, msgspec.json.Decoder(Window).decode, msgspec.json.Encoder().encode, _watermark)
_decoder = msgspec.json.Decoder(NotifyUpdated | NotifyNumberChanged)
_encode = msgspec.json.Encoder().encode


class MetricsAgent:
    """Agent `metrics`: the only writer of `notify.metrics`."""

    name = "metrics"
    rest_s = REST_S
    background = False
    tables: Sequence[TableSpec[Any]] = (_spec,)

    def __init__(self, topic: str, metrics: str, lists: Lists, dead_letters: DeadLetters) -> None:
        self.topic, self._metrics = topic, metrics
        self.dead_letter = dead_letters
        self._counting = Counting(lists)
        self._windows: dict[int, Windows] = {}

    def row_keys(self, record: Input) -> Sequence[tuple[str, bytes]]:
        """None: the windows are in memory."""
        return ()

    def fold(self, record: Input, scope: FoldScope) -> None:
        """Count one update, once; what becomes of numbers is not counted here."""
        try:
            update: NotifyUpdated | NotifyNumberChanged = decode(_decoder, record.value)
        except BadRecord as bad:
            raise UnreadableRecordError(bad.field, bad.rule) from None
        if isinstance(update, NotifyUpdated) and (additions := self._counting.additions(update)):
            cause = update.cause.offset, update.cause.index
            self._windows[record.partition].count(additions, _at_ms(update, record), cause, record.offset)

    def tick(self, partition: int, scope: FoldScope) -> None:
        """One row and one record per window counted in; old windows go."""
        windows = self._windows[partition]
        for key, window in windows.touched():
            scope.put(METRICS, key, window)
            scope.emit(Output(self._metrics, key + b"|%d" % partition, _encode(_metric(window, partition)), partition))
        for key in windows.leaving():
            scope.drop(METRICS, key)

    def set_aside(self, record: Input, scope: FoldScope) -> None:
        """The dead letter says that it was not counted."""

    def frozen(self, record: Input, scope: FoldScope, error: Exception) -> None:
        """The update is not counted; its dead letter says so."""

    def settled(self, partition: int, changed: Mapping[str, Mapping[bytes, Any | None]]) -> None:
        """No effects; from here old windows may leave."""
        self._windows[partition].settled()

    def assigned(self, partition: int, rows: Mapping[str, Iterable[tuple[bytes, Any]]]) -> None:
        """Learn which windows are open."""
        self._windows[partition] = Windows(rows[METRICS])

    def revoked(self, partition: int) -> None:
        """Another worker counts here now."""
        self._windows.pop(partition, None)


def _at_ms(update: NotifyUpdated, record: Input) -> int:
    """When it happened. What lies far ahead of its own record is by a clock that is wrong, and would close the windows
    of all others: it counts when it was told."""
    return update.at_ms if update.at_ms <= record.at_ms + KEPT_MS else record.at_ms


def _metric(window: Window, shard: int) -> NotifyMetric:
    return NotifyMetric(
        metric=window.metric,
        labels=window.labels,
        window_ms=window.start_ms,
        length_s=WINDOW_MS // 1000,
        shard=shard,
        value=window.value,
        bounds=BOUNDS.get(window.metric, ()),
        buckets=tuple(window.buckets),
        sum=window.sum,
    )
