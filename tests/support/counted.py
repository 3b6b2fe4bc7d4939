"""Builders of updates, and the metrics agent over rows that a crash keeps in part."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import msgspec

from app.domain.metrics.series import Lists
from app.records.metrics import NotifyMetric, decoder
from app.records.seal import Sealer
from app.records.updates import NotifyUpdated
from app.streams.agents.dead_letters import DeadLetters
from app.streams.agents.metrics import METRICS, MetricsAgent
from app.streams.engine.agent import Input
from app.streams.engine.overlay import Overlay

START_MS = 1_800_000_000_000 - 1_800_000_000_000 % 60_000
MINUTE_MS = 60_000
LISTS = Lists(
    lanes={"acme": {"main", "bulk"}, "beta": {"beta-main"}}, countries={"US", "DE"}, codes={"30003", "30007", "21610"}
)


def update(offset: int, index: int = 0, **given: Any) -> NotifyUpdated:
    defaults = {
        "id": f"m@0-{offset}-{index}",
        "at": "",
        "at_ms": START_MS,
        "tenant": "acme",
        "message_id": "m",
        "event": "taken",
        "state": "taken",
        "reason": "taken",
        "cause": {"partition": 0, "offset": offset, "index": index},
        "country": "US",
        "lane": "main",
        "segments": 2,
        "request_to_create_ms": 40,
    }
    return msgspec.convert({**defaults, **given, "type": "notify.updated.v1"}, NotifyUpdated)


class Store(dict[bytes, bytes]):
    """The rows of a partition as the changelog keeps them."""

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        return [self.get(key) for key in keys]

    def keep(self, written: Iterable[tuple[bytes, bytes | None]]) -> None:
        for key, value in written:
            if value is None:
                self.pop(key, None)
            else:
                self[key] = value


class Counter:
    """One life of the agent on partition 0, on what an earlier life left; `said` is what its topic holds."""

    def __init__(self, store: Store, said: dict[bytes, NotifyMetric]) -> None:
        self.store, self.said = store, said
        letters = DeadLetters("dead", Sealer({"k1": b"k" * 32}))
        self.agent = MetricsAgent("notify.updates", "notify.metrics", LISTS, letters)
        self.agent.assigned(0, {METRICS: self.rows()})

    def rows(self) -> Iterator[tuple[bytes, Any]]:
        decode = self.agent.tables[0].decode
        return ((key, decode(value)) for key, value in self.store.items())

    def cycle(self, updates: Mapping[int, NotifyUpdated], kept: int | None = None) -> None:
        """Fold updates by their offset on the topic. `kept`: the crash comes after so many rows of it."""
        overlay = Overlay(self.agent.tables, {METRICS: self.store})  # type: ignore[dict-item] # reads like one
        for offset, value in updates.items():
            raw = msgspec.json.encode(value)
            self.agent.fold(Input("notify.updates", 0, offset, value.at_ms, b"m", raw, []), overlay)
        self.agent.tick(0, overlay)
        for output in overlay.outputs:
            assert output.key is not None
            self.said[output.key] = decoder.decode(output.value or b"")
        self.store.keep(islice(dict(overlay.encoded()).get(METRICS, ()), kept))
        if kept is None:
            self.agent.settled(0, overlay.changed)


def totals(said: dict[bytes, NotifyMetric]) -> dict[bytes, tuple[float, tuple[int, ...], float]]:
    return {key: (metric.value, metric.buckets, round(metric.sum, 6)) for key, metric in said.items()}


def counted(*updates: NotifyUpdated) -> dict[tuple[str, ...], float]:
    """What one undisturbed life counts, by metric and label values, over all windows."""
    life = Counter(Store(), {})
    life.cycle(dict(enumerate(updates)))
    found: dict[tuple[str, ...], float] = {}
    for metric in life.said.values():
        key = metric.metric, *metric.labels.values()
        found[key] = found.get(key, 0) + metric.value
    return found
