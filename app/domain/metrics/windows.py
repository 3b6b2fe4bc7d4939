"""Per-minute windows of what happened to messages: counters and histograms.

A window remembers the cause of the last update counted in it. Causes rise within a partition, so an update that comes
again, after whichever crash, finds in each of its windows by itself whether it was counted there.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

WINDOW_MS = 60_000
KEPT_MS = 2 * 3_600_000

# Bounds at the edges that matter: 0.05 and 5 s to hand over, 30, 60 and 300 s to be delivered.
HAND_OVER_S = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
DELIVERY_S = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0)

METRICS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "accepted": ("Messages accepted", ("tenant", "country", "lane")),
    "suppressed": ("Messages suppressed: consent, an invalid number, a filtered text", ("tenant", "country", "lane")),
    "taken": ("Create calls taken by Twilio", ("tenant", "country", "lane")),
    "refused": ("Create calls refused, by class", ("tenant", "lane", "error_class")),
    "doubted": ("Attempts in doubt", ("tenant", "lane")),
    "outcomes": ("Outcomes, first revision", ("tenant", "country", "outcome")),
    "errors": ("Failed attempts by error code", ("tenant", "error_code")),
    "segments": ("Segments taken by Twilio", ("tenant", "country", "lane")),
    "request_to_create_seconds": ("From request to create call", ("tenant", "lane")),
    "create_to_delivered_seconds": ("From create call to delivered", ("tenant", "country")),
    "unlisted": ("Updates with a label value on no list, counted as other", ("label",)),
}
# Other bounds need another metric's name: open windows and the bridge hold counts by bound.
BOUNDS: Mapping[str, tuple[float, ...]] = {
    "request_to_create_seconds": HAND_OVER_S,
    "create_to_delivered_seconds": DELIVERY_S,
}

Cause = tuple[int, int]
NEVER: Cause = (-1, -1)


class Window(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One metric with its labels in one minute. `buckets` counts per bound, the last beyond all; `sum` in seconds.

    `cause` and `offset` are of the last update counted: (offset, index) on the contact log, and its own place on its
    topic. Not frozen: a window is counted up thousands of times between two writes.
    """

    metric: str
    labels: dict[str, str]
    start_ms: int
    cause: Cause = NEVER
    offset: int = -1
    value: float = 0
    buckets: list[int] = []
    sum: float = 0


class Series:
    """One metric with one set of labels; made once, compared by identity."""

    __slots__ = ("bounds", "labels", "metric", "name")

    def __init__(self, metric: str, labels: Mapping[str, str]) -> None:
        self.metric, self.labels, self.bounds = metric, dict(labels), BOUNDS.get(metric, ())
        joined = ",".join(f"{name}={labels[name]}" for name in sorted(labels))
        self.name = f"{metric}|{joined}".encode()

    def key(self, start_ms: int) -> bytes:
        """Of the row: metric, labels in order of name, start."""
        return b"%b|%d" % (self.name, start_ms)

    def window(self, start_ms: int) -> Window:
        """A window that begins at `start_ms`, with nothing counted."""
        buckets = [0] * (len(self.bounds) + 1) if self.bounds else []
        return Window(metric=self.metric, labels=self.labels, start_ms=start_ms, buckets=buckets)


class Addition(NamedTuple):
    """What one update adds to one series: a count, or a duration in seconds."""

    series: Series
    amount: float


class _Open:
    __slots__ = ("key", "touched", "window")

    def __init__(self, key: bytes, window: Window) -> None:
        self.key, self.window, self.touched = key, window, False


class Windows:
    """The open windows of one partition, which are all its rows. Nothing here waits or fails half-way."""

    def __init__(self, rows: Iterable[tuple[bytes, Window]]) -> None:
        self._open = {key: _Open(key, window) for key, window in rows}
        self._newest_ms = max((found.window.start_ms for found in self._open.values()), default=0)
        self._durable_ms = self._swept_ms = self._newest_ms
        # Updates come by the minute: series to window of the minute that came last.
        self._minute_ms, self._minute = -1, dict[Series, _Open]()
        self._touched: list[_Open] = []

    def count(self, additions: Sequence[Addition], at_ms: int, cause: Cause, offset: int) -> None:
        """Count one update, in each of its windows at most once. One that would re-open a window is not counted."""
        start = at_ms - at_ms % WINDOW_MS
        if start != self._minute_ms:
            if start < self._newest_ms - KEPT_MS:
                return
            self._newest_ms = max(self._newest_ms, start)
            self._minute_ms, self._minute = start, {}
        minute = self._minute
        for series, amount in additions:
            found = minute.get(series) or self._find(series, start)
            window = found.window
            if cause <= window.cause:
                continue
            window.cause, window.offset = cause, offset
            if bounds := series.bounds:
                window.buckets[bisect_left(bounds, amount)] += 1
                window.sum += amount
                amount = 1
            window.value += amount
            if not found.touched:
                found.touched = True
                self._touched.append(found)

    def _find(self, series: Series, start: int) -> _Open:
        key = series.key(start)
        found = self._open.get(key) or _Open(key, series.window(start))
        self._open[key] = self._minute[series] = found
        return found

    def touched(self) -> Iterator[tuple[bytes, Window]]:
        """Windows counted in since the last call, by key, in the order they were first counted in."""
        touched, self._touched = self._touched, []
        for found in touched:
            found.touched = False
            yield found.key, found.window

    def settled(self) -> None:
        """All that was touched is durable."""
        self._durable_ms = self._newest_ms

    def leaving(self) -> Iterator[bytes]:
        """Keys of windows older than two hours, forgotten.

        By the newest window that is durable: a crash that keeps the drop keeps what forbids to open the window again.
        """
        if self._swept_ms == self._durable_ms:
            return
        self._swept_ms, horizon = self._durable_ms, self._durable_ms - KEPT_MS
        for key in [key for key, found in self._open.items() if found.window.start_ms < horizon]:
            del self._open[key]
            yield key
