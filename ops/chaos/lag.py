"""Whether the product has caught up: the group's commits against the ends of its topics as they stood at a moment."""

import asyncio
import time

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

LOOK_S, ANSWER_S = 0.2, 5.0
AWAY = (KafkaError, OSError, TimeoutError)
Offsets = dict[tuple[str, int], int]


class Lag:
    """Asks the broker by the straight way, anew each time: it may have been killed in between."""

    def __init__(self, servers: str, group: str, topics: tuple[str, ...]) -> None:
        self._servers, self._group, self._topics = servers, group, topics

    async def caught_up(self, seconds: float) -> float | None:
        """Seconds until all that is on the topics now was committed; None if that took longer than `seconds`."""
        began = time.monotonic()
        ends: Offsets | None = None
        while (passed := time.monotonic() - began) < seconds:
            try:
                async with asyncio.timeout(ANSWER_S):
                    ends = ends or await self._ends()
                    done = await self._committed()
                if all(done.get(place, 0) >= end for place, end in ends.items()):
                    return passed
            except AWAY:
                pass  # the broker is still away: that is what is being measured
            await asyncio.sleep(LOOK_S)
        return None

    async def _ends(self) -> Offsets:
        consumer = AIOKafkaConsumer(bootstrap_servers=self._servers)
        try:
            await consumer.start()
            places = []
            for topic in self._topics:
                await consumer._client.add_topic(topic)
                places += [TopicPartition(topic, n) for n in consumer.partitions_for_topic(topic) or ()]
            return {(tp.topic, tp.partition): end for tp, end in (await consumer.end_offsets(places)).items()}
        finally:
            await consumer.stop()

    async def _committed(self) -> Offsets:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._servers)
        try:
            await admin.start()
            found = await admin.list_consumer_group_offsets(self._group)
            return {(tp.topic, tp.partition): meta.offset for tp, meta in found.items()}
        finally:
            await admin.close()
