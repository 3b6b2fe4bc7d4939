"""Sends one kind of poison at its rate: python ops/bench/poison.py KIND SERVERS TOPIC RUN

A process of its own, so that its work is not in the times that `isolation` takes. It says "ready", sends from the line
"go" to the line "stop" on stdin, and then says how many records the broker acknowledged. With "before" in place of
"go" it sends at once what the kind needs before all else, and ends.
"""

import asyncio
import itertools
import random
import sys
from collections.abc import Iterator

from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.structs import TopicPartition
from confluent_kafka import Producer
from poison_kinds import KINDS, Kind, request

PARTITIONS = 8


class BatchSender:
    """Record batches as they are, to each partition of the topic in its turn. Counts those that were acknowledged."""

    def __init__(self, servers: str, topic: str, batches: Iterator[bytes]) -> None:
        self._client, self._topic, self._batches = AIOKafkaClient(bootstrap_servers=servers), topic, batches
        self._partitions = itertools.cycle(range(PARTITIONS))
        self._next = next(batches)
        self.acknowledged = 0

    async def start(self) -> None:
        await self._client.bootstrap()
        self._client.add_topic(self._topic)
        await self._client.force_metadata_update()

    async def send(self) -> None:
        data, partition = self._next, next(self._partitions)
        node = self._client.cluster.leader_for_partition(TopicPartition(self._topic, partition)) or 0
        sending = self._client.send(node, ProduceRequest(None, -1, 30_000, [(self._topic, [(partition, data)])]))
        self._next = next(self._batches)
        answer = await sending
        error = answer.topics[0][1][0][1]
        if error:
            raise SystemExit(f"the broker refused a batch of {len(data)} bytes: error {error}")
        self.acknowledged += 1

    async def stop(self) -> None:
        await self._client.close()


class TransactionSender:
    """Requests, each in a transaction of its own: one is committed, the next is aborted."""

    def __init__(self, servers: str, topic: str, run: str) -> None:
        self._topic, self._run = topic, run
        self._producer = Producer({"bootstrap.servers": servers, "transactional.id": run, "linger.ms": 0})
        self.acknowledged = 0

    async def start(self) -> None:
        await asyncio.to_thread(self._producer.init_transactions, 30)

    async def send(self) -> None:
        await asyncio.to_thread(self._transaction, self.acknowledged)
        self.acknowledged += 1

    def _transaction(self, n: int) -> None:
        self._producer.begin_transaction()
        self._producer.produce(self._topic, request(self._run, n), partition=n % PARTITIONS)
        self._producer.flush(30)
        if n % 2:
            self._producer.abort_transaction(30)
        else:
            self._producer.commit_transaction(30)

    async def stop(self) -> None:
        """Nothing is left open."""


Sender = BatchSender | TransactionSender


async def send_at_rate(sender: Sender, per_s: float, stop: asyncio.Event) -> None:
    """One record in each interval, at a random time in it: never in step with what is measured beside it."""
    rng, loop, sending = random.Random(7), asyncio.get_running_loop(), set[asyncio.Task[None]]()
    began = loop.time()
    for n in itertools.count():
        due = began + (n + rng.random()) / per_s
        try:
            await asyncio.wait_for(stop.wait(), max(0.0, due - loop.time()))
            break
        except TimeoutError:
            if isinstance(sender, TransactionSender):
                await sender.send()
            else:
                sending.add(asyncio.create_task(sender.send()))
    await asyncio.gather(*sending)


async def main(kind: Kind, servers: str, topic: str, run: str) -> None:
    print("ready", flush=True)
    word = await asyncio.to_thread(sys.stdin.readline)
    if word == "before\n":
        sender: Sender = BatchSender(servers, topic, kind.batches(run))
        await sender.start()
        for _ in range(kind.before):
            await sender.send()
    else:
        sender = (
            TransactionSender(servers, topic, run)
            if kind.transactions
            else BatchSender(servers, topic, kind.batches(run))
        )
        await sender.start()
        stop = asyncio.Event()
        sending = asyncio.create_task(send_at_rate(sender, kind.per_s, stop))
        await asyncio.to_thread(sys.stdin.readline)
        stop.set()
        await sending
    await sender.stop()
    print(sender.acknowledged, flush=True)


if __name__ == "__main__":
    asyncio.run(main(KINDS[sys.argv[1]], *sys.argv[2:]))
