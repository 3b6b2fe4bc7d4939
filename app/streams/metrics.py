"""Agent `metrics`: folds `notify.updates` into per-minute windows on `notify.metrics`, absolute values.

An update produced twice after a crash carries the same cause: per partition the highest (offset, index) of a cause
counted is a row of its own, so that no repeat is counted. Windows older than two hours leave the table.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from app.domain.windows import BOUNDS, KEPT_MS, WINDOW_MS, Labels, Seen, Window, added, key_of, steps
from app.records.codec import Unreadable as BadRecord
from app.records.codec import decode
from app.records.metrics import NotifyMetric
from app.records.updates import NotifyUpdated
from app.streams.deadletters import DeadLetters
from app.streams.engine.agent import Input, Output, Scope, TableSpec, Unreadable

METRICS = "metrics"
MARK = b"\0cause"


class Mark(msgspec.Struct, frozen=True, tag=True):
    """The last cause counted in this partition."""

    offset: int
    index: int


class Kept(msgspec.Struct, frozen=True, tag=True):
    """A window's row."""

    window: Window


_spec = TableSpec(METRICS, msgspec.json.Decoder(Mark | Kept).decode, msgspec.json.Encoder().encode)
_decoder = msgspec.json.Decoder(NotifyUpdated)
_encode = msgspec.json.Encoder().encode


class MetricsAgent:
    """See the module."""

    name = "metrics"
    tables: Sequence[TableSpec[Any]] = (_spec,)

    def __init__(self, topic: str, metrics: str, labels: Labels, dead_letters: DeadLetters) -> None:
        self.topic, self._metrics, self._labels = topic, metrics, labels
        self.dead_letter = dead_letters
        self._touched: dict[int, dict[bytes, Window]] = {}
        self._windows: dict[int, dict[bytes, int]] = {}

    def row_keys(self, record: Input) -> Sequence[tuple[str, bytes]]:
        """The mark; windows are few and read as they come."""
        return ((METRICS, MARK),)

    def fold(self, record: Input, scope: Scope) -> None:
        """Count one update, once."""
        try:
            update: NotifyUpdated = decode(_decoder, record.value)
        except BadRecord as bad:
            raise Unreadable(bad.field, bad.rule) from None
        cause, mark = update.cause, scope.get(METRICS, MARK)
        if mark is not None and (cause.offset, cause.index) <= (mark.offset, mark.index):
            return
        scope.put(METRICS, MARK, Mark(cause.offset, cause.index))
        start = update.at_ms - update.at_ms % WINDOW_MS
        touched = self._touched.setdefault(record.partition, {})
        for step in steps(_seen(update), self._labels):
            key = key_of(step, start)
            kept = scope.get(METRICS, key)
            window = added(kept.window if kept else None, step, start)
            scope.put(METRICS, key, Kept(window))
            touched[key] = window

    def tick(self, partition: int, scope: Scope) -> None:
        """One record per window touched in this slice; old windows go."""
        touched = self._touched.pop(partition, {})
        known = self._windows.setdefault(partition, {})
        for key, window in touched.items():
            known[key] = window.start_ms
            scope.emit(Output(self._metrics, key + b"|%d" % partition, _encode(_metric(window, partition)), partition))
        if touched:
            newest = max(window.start_ms for window in touched.values())
            for key in [key for key, start in known.items() if start < newest - KEPT_MS]:
                del known[key]
                scope.drop(METRICS, key)

    def frozen(self, record: Input, scope: Scope, error: Exception) -> None:
        """The update is not counted; its dead letter says so."""

    def settled(self, partition: int, changed: Mapping[str, Mapping[bytes, Any | None]]) -> None:
        """No effects."""

    def assigned(self, partition: int, rows: Mapping[str, Iterable[tuple[bytes, Any]]]) -> None:
        """Learn which windows are open."""
        open_now = {key: row.window.start_ms for key, row in rows[METRICS] if isinstance(row, Kept)}
        self._windows[partition] = open_now

    def revoked(self, partition: int) -> None:
        """Another worker counts here now."""
        self._windows.pop(partition, None)
        self._touched.pop(partition, None)


def _seen(update: NotifyUpdated) -> Seen:
    return Seen(
        update.tenant,
        update.country,
        update.lane,
        update.event,
        update.state,
        update.reason,
        update.error_class,
        update.error_code,
        update.segments,
        update.revision,
        update.request_to_create_ms,
        update.create_to_delivered_ms,
    )


def _metric(window: Window, shard: int) -> NotifyMetric:
    return NotifyMetric(
        metric=window.metric,
        labels=window.labels,
        window_ms=window.start_ms,
        length_s=WINDOW_MS // 1000,
        shard=shard,
        value=window.value,
        bounds=BOUNDS.get(window.metric, ()),
        buckets=window.buckets,
        sum=window.sum,
    )
