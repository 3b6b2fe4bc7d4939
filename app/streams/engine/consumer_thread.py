"""Fetching: Faust's consumer thread with a short long poll, records as inputs, and the lease on its heartbeats.

Private names of faust and aiokafka are used here too.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka.errors import CorruptRecordException
from aiokafka.structs import ConsumerRecord
from faust.transport.drivers import aiokafka as driver

from app.kafka.batch_fetching import BatchFetching, ReadMode
from app.streams.engine.agent import Input
from app.streams.engine.append_times import observe_fetches
from app.streams.engine.fetch_throttle import FetchThrottle
from app.streams.engine.positions import commit_metadata

# A partition whose data was taken is fetched again only when the request in flight returns (aiokafka sends one per
# broker), so this long poll is also the longest wait of a record that arrives in between.
FETCH_WAIT_MS = 8


# Rows of a changelog that a turn takes; more than fetched at once of most, for each turn is a WriteBatch.
CHANGELOG_RECORDS = 20_000

_input = Input._make


def inputs_of(tp: Any, records: Sequence[Any], unreadable: str) -> list[Input]:
    """What agents fold (see `app.kafka.partition_batches.Form`)."""
    topic, number = tp
    return [_input((topic, number, r.offset, r.timestamp, r.key, r.value, r.headers, unreadable)) for r in records]


def rows_of(tp: Any, records: Sequence[Any], unreadable: str) -> list[Any]:
    """Rows of a changelog, as Faust wants them. Raises CorruptRecordException: without a row nothing is right."""
    if unreadable:
        raise CorruptRecordException(f"{tp.topic}-{tp.partition}: {unreadable}")
    return [
        ConsumerRecord(*tp, r.offset, r.timestamp, 0, r.key, r.value, None, -1, -1, tuple(r.headers)) for r in records
    ]


class ConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc] # faust is Any here
    """Faust's consumer thread, with the lease watching its heartbeats."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        # Records of open and of aborted transactions are nobody's wish (KIP-98).
        consumer._isolation_level = "read_committed"
        return consumer

    async def on_start(self) -> None:
        """Attach the lease once the coordinator exists."""
        await super().on_start()
        observe_fetches(self._consumer._client, self.app.engine.append_times, self.app.topics.acks_enabled_for)
        fetcher = self._consumer._fetcher
        fetcher._fetch_max_wait_ms = FETCH_WAIT_MS
        # aiokafka fetches nothing of a broker for 100 ms while a partition of it is not taken whole: others would wait.
        fetcher._prefetch_backoff = 0.0
        self._fetching = BatchFetching(fetcher, self._reading_of)
        self._rests = FetchThrottle(self.app.engine.rest_s, self.app.engine.background, self.consumer.busy)
        self.app.engine.lease.attach(self._consumer._coordinator)
        self._add_metadata(self._consumer)

    def _reading_of(self, tp: Any) -> ReadMode:
        """Inputs of agents in slices, without holes; rows of changelogs, which are compacted, in larger pieces."""
        if self.app.topics.acks_enabled_for(tp.topic):
            alone = self.app.engine.background(tp.topic) or self.app.engine.guard.watches(tp.topic, tp.partition)
            most = 1 if alone else self.app.engine.slice_records
            return ReadMode(inputs_of, most, consecutive=True, watch=self.app.engine.batch_guard)
        return ReadMode(rows_of, CHANGELOG_RECORDS, consecutive=False)

    def _add_metadata(self, consumer: Any) -> None:
        """Each commit says of which topic it is, and what is suspect of its partition (see `PoisonGuard`)."""
        inner, guard = consumer.commit, self.app.engine.guard

        async def commit(offsets: Mapping[Any, Any]) -> None:
            ids = self.consumer.takeover.facts.ids
            suspects = {tp: guard.metadata(tp.topic, tp.partition, at.offset) for tp, at in offsets.items()}
            told = {tp: commit_metadata(ids.get(tp.topic, ""), suspects[tp]) for tp in offsets}
            await inner({tp: (at.offset, told[tp]) for tp, at in offsets.items()})
            for tp, at in offsets.items():
                guard.committed(tp.topic, tp.partition, at.offset)

        consumer.commit = commit

    async def commits(self, places: list[Any]) -> dict[Any, Any]:
        """The last commits of these partitions, with their metadata."""
        return await self._consumer._coordinator.fetch_committed_offsets(places) if places else {}

    async def _fetch_records(self, consumer: Any, *args: Any, **options: Any) -> Any:
        taken = await super()._fetch_records(consumer, *args, **options)
        # A partition that is paused loses what was fetched of it and not taken yet.
        self._rests.took(consumer, {tp: piece.records for tp, piece in taken.items() if not piece.more})
        return taken

    async def pause_changelogs(self) -> None:
        """Recovered: fetch no changelog any more.

        Faust only stops reading them; aiokafka would still fetch each row we write, keep it, and hold back every
        other fetch of that broker for a while because it is not taken.
        """
        changelogs = {tp for tp in self._consumer.assignment() if tp.topic in self.app.tables.changelog_topics}
        self._consumer.pause(*changelogs)

    async def on_partitions_assigned(self, assigned: Any, generation_id: int = 0) -> None:
        """A rebalance ended: the lease begins anew, or the process ends if it had been expelled."""
        self.app.engine.lease.joined(self._consumer._coordinator.member_id)
        await super().on_partitions_assigned(assigned, generation_id)
