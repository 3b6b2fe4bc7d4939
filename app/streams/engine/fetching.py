"""Fetching: Faust's consumer thread with a short long poll, records as inputs, and the lease on its heartbeats.

Private names of faust and aiokafka are used here too.
"""

from collections.abc import Mapping
from typing import Any

from aiokafka.consumer.fetcher import FetchResult
from faust.transport.drivers import aiokafka as driver

from app import clock
from app.streams.engine.agent import Input
from app.streams.engine.append_times import observe_fetches
from app.streams.engine.rests import Rests

# A partition whose data was taken is fetched again only when the request in flight returns (aiokafka sends one per
# broker), so this long poll is also the longest wait of a record that arrives in between.
FETCH_WAIT_MS = 8


def input_of(tp: Any, record: Any) -> Input:
    """A record as it stands in a batch of aiokafka's (see `ConsumerThread`)."""
    return _input((tp[0], tp[1], record.offset, record.timestamp, record.key, record.value, record.headers))


_input = Input._make


class ConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc] # faust is Any here
    """Faust's consumer thread, with the lease watching its heartbeats."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        return consumer

    async def on_start(self) -> None:
        """Attach the lease once the coordinator exists."""
        await super().on_start()
        self._consumer._fetcher._fetch_max_wait_ms = FETCH_WAIT_MS
        self._unpack_inputs(self._consumer._fetcher)
        self._rests = Rests(self.app.engine.rest_s, self.app.engine.background, self.consumer.busy)
        observe_fetches(self._consumer._client, self.app.engine.append_times, self.app.topics.acks_enabled_for)
        self.app.engine.lease.attach(self._consumer._coordinator)
        self._add_metadata(self._consumer)

    def _unpack_inputs(self, fetcher: Any) -> None:
        """Records of our topics come out of their batches as what agents fold: aiokafka's own form costs as much again.

        Those of changelogs stay as they are, for the last of a slice takes Faust's path.
        """
        inner = fetcher._proc_fetch_request

        async def proc_fetch_request(*args: Any) -> Any:
            wakes = await inner(*args)
            # No turn of the loop lies between: nobody has taken a record yet.
            for tp, found in fetcher._records.items():
                if self.app.topics.acks_enabled_for(tp.topic) and isinstance(found, FetchResult):
                    found._partition_records._consumer_record = input_of
            return wakes

        fetcher._proc_fetch_request = proc_fetch_request

    def _add_metadata(self, consumer: Any) -> None:
        """Each commit carries what is suspect of its partition (see `PoisonGuard`)."""
        inner, guard = consumer.commit, self.app.engine.guard

        async def commit(offsets: Mapping[Any, Any]) -> None:
            told = {tp: guard.metadata(tp.topic, tp.partition, at.offset) for tp, at in offsets.items()}
            await inner({tp: (at.offset, told[tp]) for tp, at in offsets.items()})
            for tp, at in offsets.items():
                guard.committed(tp.topic, tp.partition, at.offset)

        consumer.commit = commit

    async def commit_metadata(self, places: list[Any]) -> dict[Any, str]:
        """What the last commits of these partitions carry."""
        if not places:
            return {}
        found = await self._consumer._coordinator.fetch_committed_offsets(places)
        return {tp: at.metadata for tp, at in found.items()}

    async def _fetch_records(self, consumer: Any, *args: Any, **options: Any) -> Any:
        found = await super()._fetch_records(consumer, *args, **options)
        self._rests.took(consumer, found)
        return found

    async def pause_changelogs(self) -> None:
        """Recovered: fetch no changelog any more.

        Faust only stops reading them; aiokafka would still fetch each row we write, keep it, and hold back every
        other fetch of that broker for a while because it is not taken.
        """
        changelogs = {tp for tp in self._consumer.assignment() if tp.topic in self.app.tables.changelog_topics}
        self._consumer.pause(*changelogs)

    async def on_partitions_assigned(self, assigned: Any, generation_id: int = 0) -> None:
        """A rebalance ended: the lease begins anew, or the process ends if it had been expelled."""
        self.app.engine.lease.joined(self._consumer._coordinator.member_id, clock.boot_s())
        await super().on_partitions_assigned(assigned, generation_id)
