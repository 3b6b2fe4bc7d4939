"""`python -m ops.chaos.open_transaction SERVERS TOPIC ID`: produces within a transaction, and kills itself.

Reads a JSON list of records from stdin, and writes the partition and offset of each to stdout before it dies.
"""

import os
import signal
import sys

import orjson
from confluent_kafka import KafkaError, Message, Producer

from ops.chaos.poisons import KAFKA_S, TRANSACTION_MS


def main(servers: str, topic: str, name: str) -> None:
    """Produce, say where, and die."""
    places: list[tuple[int | None, int | None]] = []

    def delivered(error: KafkaError | None, message: Message) -> None:
        if error is None:
            places.append((message.partition(), message.offset()))

    settings = {"bootstrap.servers": servers, "transactional.id": name, "transaction.timeout.ms": TRANSACTION_MS}
    producer = Producer(settings)
    producer.init_transactions(KAFKA_S)
    producer.begin_transaction()
    for event in orjson.loads(sys.stdin.buffer.read()):
        # One by one: the places are in the order of the records.
        producer.produce(topic, orjson.dumps(event), on_delivery=delivered)
        producer.flush(KAFKA_S)
    sys.stdout.buffer.write(orjson.dumps(places))
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(*sys.argv[1:])
