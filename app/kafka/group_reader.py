"""Reads a consumer group's members and offsets, and log ends, with one plain client: nothing is joined or committed."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaClient, TopicPartition
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError, for_code
from aiokafka.protocol.admin import DescribeGroupsRequest
from aiokafka.protocol.commit import OffsetFetchRequest
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.offset import OffsetRequest

from app.kafka.batch_headers import batch_headers, visible
from app.kafka.group_progress import GroupSnapshot, Offsets, Partition

GROUP = 0  # a kind of coordinator
READ_UNCOMMITTED, READ_COMMITTED = 0, 1
LATEST, EARLIEST = -1, -2
# Of batches only the headers are looked at.
FETCH_BYTES, FETCH_WAIT_MS = 1 << 16, 100
UNREACHABLE = (KafkaError, OSError, TimeoutError)


class GroupReader:
    """`client`: keyword arguments of an aiokafka client; `topics` the group reads. Use inside the running loop.

    Every method raises one of `UNREACHABLE`; afterwards, and when a partition's leader moved, call `close`: the next
    call connects again.
    """

    def __init__(self, client: Mapping[str, Any], group: str, topics: Iterable[str], timeout_s: float) -> None:
        self._settings, self._group, self._topics = dict(client), group, tuple(topics)
        self._timeout_s = timeout_s
        self._client: AIOKafkaClient | None = None

    async def close(self) -> None:
        """Close the connections to Kafka, if there are any."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def read(self) -> GroupSnapshot:
        """The group and its source partitions now."""
        async with asyncio.timeout(self._timeout_s):
            client = await self._connected()
            places = self._places(client)
            coordinator = await client.coordinator_lookup(GROUP, self._group)
            # In this order, so that a commit between two answers is never read as an offset beyond the end.
            members = await self._members(client, coordinator)
            committed = await self._committed(client, coordinator, places)
            stable = await self._list_offsets(client, places, READ_COMMITTED, LATEST)
            ends = await self._list_offsets(client, places, READ_UNCOMMITTED, LATEST)
        return GroupSnapshot(members, {p: Offsets(committed[p], stable[p], max(ends[p], stable[p])) for p in places})

    async def holds_records(self, place: Partition, start: int, end: int) -> bool:
        """Whether a read_committed consumer gets a record from `start` to before `end`: commit and abort markers and
        records of aborted transactions have offsets, too."""
        while start < end:
            async with asyncio.timeout(self._timeout_s):
                raw, aborted = await self._fetch(await self._connected(), place, start)
            headers = list(batch_headers(raw))
            if not headers or any(visible(headers, aborted, start)):
                return True  # nothing came: not known, and never taken for nothing
            start = headers[-1].last + 1
        return False

    async def _connected(self) -> AIOKafkaClient:
        if self._client is None:
            client = AIOKafkaClient(request_timeout_ms=int(self._timeout_s * 1000), **self._settings)
            try:
                await client.bootstrap()
                # Of all topics, as it names none: to ask for one that is missing could create it.
                await client.force_metadata_update()
            except BaseException:
                await client.close()
                raise
            self._client = client
        return self._client

    def _places(self, client: AIOKafkaClient) -> list[Partition]:
        """Every partition of the topics. Raises UnknownTopicOrPartitionError if one is missing."""
        found = {topic: client.cluster.partitions_for_topic(topic) for topic in self._topics}
        if missing := [topic for topic, numbers in found.items() if not numbers]:
            raise UnknownTopicOrPartitionError(", ".join(missing))
        return [(topic, number) for topic, numbers in found.items() for number in sorted(numbers)]

    async def _members(self, client: AIOKafkaClient, coordinator: int) -> int:
        answer = await client.send(coordinator, DescribeGroupsRequest([self._group]))
        ((error_code, _, _, _, _, members, *_),) = answer.groups
        _raise(error_code)
        return len(members)

    async def _committed(
        self, client: AIOKafkaClient, coordinator: int, places: Sequence[Partition]
    ) -> dict[Partition, int]:
        """Where nothing was committed, a worker begins at the beginning of the log."""
        answer = await client.send(coordinator, OffsetFetchRequest(self._group, list(_by_topic(places).items())))
        committed: dict[Partition, int] = {}
        for topic, partitions in answer.topics:
            for number, offset, _, error_code in partitions:
                _raise(error_code)
                committed[topic, number] = offset
        if fresh := [place for place in places if committed.get(place, -1) < 0]:
            committed |= await self._list_offsets(client, fresh, READ_UNCOMMITTED, EARLIEST)
        return committed

    async def _list_offsets(
        self, client: AIOKafkaClient, places: Sequence[Partition], isolation: int, at: int
    ) -> dict[Partition, int]:
        by_leader: dict[int, list[Partition]] = defaultdict(list)
        for place in places:
            by_leader[_leader(client, place)].append(place)
        found: dict[Partition, int] = {}
        for leader, led in by_leader.items():
            wanted = [(topic, [(number, at) for number in numbers]) for topic, numbers in _by_topic(led).items()]
            answer = await client.send(leader, OffsetRequest(-1, isolation, wanted))
            for topic, partitions in answer.topics:
                for number, error_code, _, offset in partitions:
                    _raise(error_code)
                    found[topic, number] = offset
        return found

    async def _fetch(self, client: AIOKafkaClient, place: Partition, start: int) -> tuple[bytes, list[tuple[int, int]]]:
        """Raw batches, and the aborted transactions among them."""
        topic, number = place
        wanted = [(topic, [(number, start, FETCH_BYTES)])]
        request = FetchRequest(FETCH_WAIT_MS, 1, FETCH_BYTES, READ_COMMITTED, wanted)
        answer = await client.send(_leader(client, place), request)
        ((_, ((_, error_code, *fields),)),) = answer.topics
        _raise(error_code)
        # Its place differs between versions of the answer; it is the only array in all of them.
        return fields[-1] or b"", next((field for field in fields if isinstance(field, list)), [])


def _by_topic(places: Iterable[Partition]) -> dict[str, list[int]]:
    topics: dict[str, list[int]] = defaultdict(list)
    for topic, number in places:
        topics[topic].append(number)
    return topics


def _leader(client: AIOKafkaClient, place: Partition) -> int:
    leader = client.cluster.leader_for_partition(TopicPartition(*place))
    if leader is None or leader < 0:
        raise UnknownTopicOrPartitionError(f"{place[0]}-{place[1]} has no leader")
    return int(leader)


def _raise(error_code: int) -> None:
    if error_code:
        raise for_code(error_code)
