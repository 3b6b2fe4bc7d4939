"""A rule over `notify.metrics`: each counter and histogram is what the updates add up to, counted anew. Pure.

The form is that of the documented metrics (schemas, the board): which update counts where, by which labels, and the
bounds of the histograms. No code of the worker.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ops.chaos.view import View, cause_of

WINDOW_MS = 60_000
BOUNDS_S = {
    "request_to_create_seconds": (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600),
    "create_to_delivered_seconds": (1, 2, 5, 10, 30, 60, 120, 300, 900, 3600, 14_400, 86_400),
}
# Sums of seconds are of floating point.
NEAR = 1e-6
OTHER = "other"
# No value, and the country of a number of no country.
UNLISTED = ("", None, "ZZ")

Key = tuple[str, tuple[tuple[str, str], ...], int, int]  # metric, labels, window, shard
Counted = tuple[str, tuple[str, ...], float]  # metric, names of its labels, amount


@dataclass
class _Series:
    value: float = 0
    sum: float = 0
    buckets: list[int] = field(default_factory=list)

    def add(self, metric: str, amount: float) -> None:
        if bounds := BOUNDS_S.get(metric):
            self.buckets = self.buckets or [0] * (len(bounds) + 1)
            self.buckets[bisect_left(bounds, amount)] += 1
            self.sum, amount = self.sum + amount, 1
        self.value += amount


def wrong_metrics(view: View) -> list[str]:
    """The last record of each series, window and shard has the value that the updates add up to."""
    told, counted = _told(view), _counted(view)
    problems = [f"metric {_named(key)}: is not told" for key in sorted(counted.keys() - told.keys())]
    problems += [f"metric {_named(key)}: counts what no update told" for key in sorted(told.keys() - counted.keys())]
    for key in sorted(told.keys() & counted.keys()):
        value, right = told[key], counted[key]
        if value["value"] != right.value or list(value.get("buckets", ())) != right.buckets:
            problems.append(f"metric {_named(key)}: is {value['value']:g}, counted {right.value:g}")
        elif abs(value.get("sum", 0) - right.sum) > NEAR * max(1, right.sum):
            problems.append(f"metric {_named(key)}: its sum is wrong")
    return problems


def _told(view: View) -> dict[Key, dict[str, Any]]:
    found = {}
    for record in view.seen.topics["metrics"]:
        if value := record.value:
            labels = tuple(sorted(value["labels"].items()))
            found[value["metric"], labels, value["window_ms"], value["shard"]] = value
    return found


def _counted(view: View) -> dict[Key, _Series]:
    """Each update once, in its partition and in the minute in which it happened."""
    found: defaultdict[Key, _Series] = defaultdict(_Series)
    for updates in view.updates.values():
        for update in updates:
            window_ms, shard = update["at_ms"] - update["at_ms"] % WINDOW_MS, cause_of(update)[0]
            for metric, labels, amount in _series(update):
                found[metric, tuple(sorted(labels.items())), window_ms, shard].add(metric, amount)
    return dict(found)


def _series(update: dict[str, Any]) -> Iterator[tuple[str, dict[str, str], float]]:
    """What one update adds to which series; labels without a value count as other, and that is counted."""
    other = set[str]()
    for metric, names, amount in _adds(update):
        labels = {name: _label(update, name) for name in names}
        other |= {name for name, value in labels.items() if value == OTHER}
        yield metric, labels, amount
    yield from (("unlisted", {"label": name}, 1) for name in other)


def _label(update: dict[str, Any], name: str) -> str:
    value = update["state"] if name == "outcome" else update.get(name)
    return OTHER if value in UNLISTED else str(value)


def _adds(update: dict[str, Any]) -> Iterator[Counted]:
    """What one update adds to which metrics."""
    event, lane = update["event"], ("tenant", "country", "lane")
    if event == "opened" and update["state"] != "final":
        yield "accepted", lane, 1
    elif event == "taken":
        yield "taken", lane, 1
        yield "segments", lane, update.get("segments", 0)
        if (took_ms := update.get("request_to_create_ms")) is not None:
            yield "request_to_create_seconds", ("tenant", "lane"), took_ms / 1000
    elif event == "refused":
        yield "refused", ("tenant", "lane", "error_class"), 1
    elif event == "doubted":
        yield "doubted", ("tenant", "lane"), 1
    elif event == "outcome":
        yield from _of_outcome(update)
    if event in ("refused", "progressed") and update.get("error_code") is not None:
        yield "errors", ("tenant", "error_code"), 1


def _of_outcome(update: dict[str, Any]) -> Iterator[Counted]:
    if update["revision"] == 1:
        yield "outcomes", ("tenant", "country", "outcome"), 1
        if update["state"] == "suppressed":
            yield "suppressed", ("tenant", "country", "lane"), 1
    if (took_ms := update.get("create_to_delivered_ms")) is not None:
        yield "create_to_delivered_seconds", ("tenant", "country"), took_ms / 1000


def _named(key: Key) -> str:
    metric, labels, window_ms, shard = key
    return f"{metric} {dict(labels)} of {window_ms}, shard {shard}"
