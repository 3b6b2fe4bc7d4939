"""Which series an update counts in. Labels come from closed lists; what is on none counts as `other`, and is counted.

What an update adds follows from a few of its fields, so the series are looked up by those fields, ready-made.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Protocol

from app.domain.metrics.windows import METRICS, Addition, Series
from app.domain.model.vocabulary import ErrorClass, OutcomeWord

OTHER = "other"
LABELS = ("tenant", "country", "lane", "error_class", "outcome", "error_code")
# Far above what closed lists make together; codes and countries as they come could make more.
MOST_PLANS = 20_000

_ONE, _SEGMENTS, _TO_CREATE, _TO_DELIVERED = range(4)
_Plan = tuple[tuple[Series, int], ...]


class CountedUpdate(Protocol):
    """What an update tells; its fields are those of `notify.updated.v1`."""

    @property
    def tenant(self) -> str: ...
    @property
    def country(self) -> str: ...
    @property
    def lane(self) -> str: ...
    @property
    def event(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def error_class(self) -> str: ...
    @property
    def error_code(self) -> int | None: ...
    @property
    def segments(self) -> int: ...
    @property
    def revision(self) -> int: ...
    @property
    def request_to_create_ms(self) -> int | None: ...
    @property
    def create_to_delivered_ms(self) -> int | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Lists:
    """The closed lists. `lanes`: by tenant, so that a lane stands only beside its own tenant."""

    lanes: Mapping[str, Collection[str]]
    countries: Collection[str]
    codes: Collection[str]
    classes: Collection[str] = field(default=frozenset(ErrorClass))
    outcomes: Collection[str] = field(default=frozenset(OutcomeWord))

    def closed(self, seen: CountedUpdate) -> dict[str, str]:
        """Every label of an update, `other` for what is on no list."""
        listed = {
            "tenant": (seen.tenant, self.lanes),
            "country": (seen.country, self.countries),
            "lane": (seen.lane, self.lanes.get(seen.tenant, ())),
            "error_class": (seen.error_class, self.classes),
            "outcome": (seen.state, self.outcomes),
            "error_code": (str(seen.error_code), self.codes),
        }
        return {name: value if value in allowed else OTHER for name, (value, allowed) in listed.items()}


class Counting:
    """From updates to additions."""

    def __init__(self, lists: Lists) -> None:
        self._lists = lists
        self._series: dict[tuple[str, ...], Series] = {}
        self._plans: dict[tuple[object, ...], _Plan] = {}

    def additions(self, seen: CountedUpdate) -> list[Addition]:
        """What one update adds: to each series at most once, most often nothing."""
        to_create, to_delivered = seen.request_to_create_ms, seen.create_to_delivered_ms
        key = (
            seen.event,
            seen.state,
            seen.tenant,
            seen.country,
            seen.lane,
            seen.error_class,
            seen.error_code,
            seen.revision,
            to_create is None,
            to_delivered is None,
        )
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plan(key, seen)
        if not plan:
            return []
        amounts = (1.0, seen.segments, (to_create or 0) / 1000, (to_delivered or 0) / 1000)
        return [Addition(series, amounts[which]) for series, which in plan]

    def _plan(self, key: tuple[object, ...], seen: CountedUpdate) -> _Plan:
        if len(self._plans) >= MOST_PLANS:
            self._plans.clear()
        values = self._lists.closed(seen)
        counted = [(self._named(metric, values), which) for metric, which in _counted(seen)]
        used = sorted({name for series, _ in counted for name, value in series.labels.items() if value == OTHER})
        counted += [(self._named("unlisted", {"label": name}), _ONE) for name in used]
        self._plans[key] = tuple(counted)
        return self._plans[key]

    def _named(self, metric: str, values: Mapping[str, str]) -> Series:
        labels = {name: values[name] for name in METRICS[metric][1]}
        return self._series.setdefault((metric, *labels.values()), Series(metric, labels))


def _counted(seen: CountedUpdate) -> Iterator[tuple[str, int]]:
    match seen.event:
        case "opened" if seen.state != "final":
            yield "accepted", _ONE
        case "taken":
            yield "taken", _ONE
            yield "segments", _SEGMENTS
            if seen.request_to_create_ms is not None:
                yield "request_to_create_seconds", _TO_CREATE
        case "refused":
            yield "refused", _ONE
        case "doubted":
            yield "doubted", _ONE
        case "outcome":
            yield from _outcome(seen)
    if seen.error_code is not None and seen.event in ("refused", "progressed"):
        yield "errors", _ONE


def _outcome(seen: CountedUpdate) -> Iterator[tuple[str, int]]:
    if seen.revision == 1:
        yield "outcomes", _ONE
        if seen.state == OutcomeWord.SUPPRESSED:
            yield "suppressed", _ONE
    if seen.create_to_delivered_ms is not None:
        yield "create_to_delivered_seconds", _TO_DELIVERED


def beforehand(
    lanes: Mapping[str, Collection[str]], countries: Collection[str]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Series that are sure to come, as metric and label values: shown at zero, their first increase is seen.

    Not by error code: those are many, and few of them ever come.
    """
    for metric, (_, names) in METRICS.items():
        for tenant, own in lanes.items():
            lists = {
                "tenant": (tenant,),
                "lane": sorted(own),
                "country": sorted(countries),
                "error_class": sorted(ErrorClass),
                "outcome": sorted(OutcomeWord),
                "label": LABELS,
            }
            for values in product(*(lists.get(name, ()) for name in names)):
                yield metric, tuple(str(value) for value in values)
