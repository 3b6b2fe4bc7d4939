"""Per-minute windows of what happened to messages: counters and histograms with labels from closed lists."""

from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

import msgspec

WINDOW_MS = 60_000
KEPT_MS = 2 * 3_600_000
OTHER = "other"

# Bounds at the edges that matter: 0.05 and 5 s to hand over, 30, 60 and 300 s to be delivered.
HAND_OVER_S = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
DELIVERY_S = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0)

METRICS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "accepted": ("Messages accepted", ("tenant", "country", "lane")),
    "suppressed": ("Messages suppressed by consent", ("tenant", "country", "lane")),
    "taken": ("Create calls taken by Twilio", ("tenant", "country", "lane")),
    "refused": ("Create calls refused, by class", ("tenant", "lane", "error_class")),
    "doubted": ("Attempts in doubt", ("tenant", "lane")),
    "outcomes": ("Outcomes, first revision", ("tenant", "country", "outcome")),
    "errors": ("Failed attempts by error code", ("tenant", "error_code")),
    "segments": ("Segments taken by Twilio", ("tenant", "country", "lane")),
    "request_to_create_seconds": ("From request to create call", ("tenant", "lane")),
    "create_to_delivered_seconds": ("From create call to delivered", ("tenant", "country")),
}
BOUNDS = {"request_to_create_seconds": HAND_OVER_S, "create_to_delivered_seconds": DELIVERY_S}


class Window(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One metric with its labels in one minute. `buckets` counts per bound, the last beyond all; `sum` in seconds."""

    metric: str
    labels: dict[str, str]
    start_ms: int
    value: float = 0
    buckets: tuple[int, ...] = ()
    sum: float = 0


class Step(NamedTuple):
    """One addition to a window: a count, or a duration in seconds."""

    metric: str
    labels: dict[str, str]
    amount: float


class Labels:
    """The closed lists. What is not on them counts as `other`."""

    def __init__(
        self, tenants: Collection[str], lanes: Collection[str], codes: Collection[str], countries: Collection[str]
    ) -> None:
        self._allowed = {
            "tenant": set(tenants),
            "lane": set(lanes),
            "error_code": set(codes),
            "country": set(countries),
        }

    def closed(self, name: str, value: str) -> str:
        """The value, or `other`."""
        allowed = self._allowed.get(name)
        return value if allowed is None or value in allowed else OTHER


def key_of(step: Step, start_ms: int) -> bytes:
    """The window's key: metric, labels in order of name, start."""
    labels = ",".join(f"{name}={step.labels[name]}" for name in sorted(step.labels))
    return f"{step.metric}|{labels}|{start_ms}".encode()


def added(window: Window | None, step: Step, start_ms: int) -> Window:
    """The window with one step more."""
    bounds = BOUNDS.get(step.metric)
    if window is None:
        empty = (0,) * (len(bounds) + 1) if bounds else ()
        window = Window(metric=step.metric, labels=step.labels, start_ms=start_ms, buckets=empty)
    if bounds is None:
        return msgspec.structs.replace(window, value=window.value + step.amount)
    at = bisect_left(bounds, step.amount)
    buckets = (*window.buckets[:at], window.buckets[at] + 1, *window.buckets[at + 1 :])
    return msgspec.structs.replace(window, value=window.value + 1, buckets=buckets, sum=window.sum + step.amount)


class Seen(NamedTuple):
    """What a transition tells the metrics."""

    tenant: str
    country: str
    lane: str
    event: str
    state: str
    reason: str
    error_class: str
    error_code: int | None
    segments: int
    revision: int
    request_to_create_ms: int | None
    create_to_delivered_ms: int | None


def steps(seen: Seen, labels: Labels) -> Iterator[Step]:
    """What one transition adds."""
    values = {
        "tenant": labels.closed("tenant", seen.tenant),
        "country": labels.closed("country", seen.country),
        "lane": labels.closed("lane", seen.lane),
        "error_class": seen.error_class or OTHER,
        "outcome": seen.state,
        "error_code": labels.closed("error_code", str(seen.error_code)),
    }
    for metric, amount in _amounts(seen):
        yield Step(metric, {name: values[name] for name in METRICS[metric][1]}, amount)


def _amounts(seen: Seen) -> Iterator[tuple[str, float]]:
    match seen.event:
        case "opened" if seen.state != "final":
            yield "accepted", 1
        case "taken":
            yield "taken", 1
            yield "segments", seen.segments
            if seen.request_to_create_ms is not None:
                yield "request_to_create_seconds", seen.request_to_create_ms / 1000
        case "refused":
            yield "refused", 1
        case "doubted":
            yield "doubted", 1
        case "outcome":
            yield from _outcome(seen)
    if seen.error_code is not None and seen.event in ("refused", "progressed"):
        yield "errors", 1


def _outcome(seen: Seen) -> Iterator[tuple[str, float]]:
    if seen.revision == 1:
        yield "outcomes", 1
        if seen.state == "suppressed":
            yield "suppressed", 1
    if seen.create_to_delivered_ms is not None:
        yield "create_to_delivered_seconds", seen.create_to_delivered_ms / 1000
