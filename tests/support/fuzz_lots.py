"""What the record fuzz produces: lot after lot of random records, each lot in its own way."""

from datetime import UTC, datetime
from random import Random

from app.config.settings import Settings
from app.domain.model.identity import key_fingerprint
from tests.support.fuzz_producers import CODECS, FuzzProducers, WriteMethod, WrittenRecord
from tests.support.fuzzed_internal import FAMILIES, FuzzedInternal
from tests.support.fuzzed_requests import FuzzedRequests

SIZES = [1, 1, 2, 5, 20, 60, 200]
WAYS = {
    WriteMethod.PLAIN: 3,
    WriteMethod.IDEMPOTENT: 2,
    WriteMethod.COMMITTED: 3,
    WriteMethod.ABORTED: 2,
    WriteMethod.LEFT_OPEN: 0.4,
    WriteMethod.BYTES: 2,
}
INTERNAL_WAYS = [WriteMethod.PLAIN, WriteMethod.COMMITTED, WriteMethod.ABORTED, WriteMethod.BYTES]
# A large record goes alone: what is too large must not take others with it.
LARGE_WAYS, LEAST_LARGE, LARGE_SHARE = [WriteMethod.PLAIN, WriteMethod.IDEMPOTENT, WriteMethod.BYTES], 4, 200


class FuzzLots:
    """`written`: what Kafka took for `notify.requests`; `internal`: for the topics that only heliograph writes."""

    def __init__(self, settings: Settings, tenant: str, seed: int) -> None:
        self._rng, self._prefix = Random(seed), settings.topic_prefix
        self._producers = FuzzProducers(settings.kafka, settings.topic_prefix, self._rng)
        self._requests = FuzzedRequests(self._rng, tenant, datetime.now(UTC))
        self._own = FuzzedInternal(self._rng, key_fingerprint(settings.pseudonym_key))
        self.written, self.internal = list[WrittenRecord](), list[WrittenRecord]()

    def write(self, most: int) -> int:
        """A lot of at most so many requests; how many it has."""
        rng, topic = self._rng, self._prefix + "notify.requests"
        [way], size = rng.choices(list(WAYS), list(WAYS.values())), min(most, rng.choice(SIZES))
        lot = [self._requests.next(any_name=way is WriteMethod.BYTES) for _ in range(size)]
        self.written += self._producers.write(topic, lot, rng.choice(CODECS), way)
        return size

    def write_internal(self) -> None:
        """A small lot for one of our topics."""
        rng, topic = self._rng, self._rng.choice(list(FAMILIES))
        lot = [self._own.next(topic) for _ in range(rng.choice([3, 12, 30]))]
        self.internal += self._producers.write(self._prefix + topic, lot, rng.choice(CODECS), rng.choice(INTERNAL_WAYS))

    def write_large(self) -> None:
        """One large record."""
        rng, topic = self._rng, self._prefix + "notify.requests"
        self.written += self._producers.write(
            topic, [self._requests.large()], rng.choice(CODECS), rng.choice(LARGE_WAYS)
        )

    def fence(self) -> None:
        """End the transactions that were left open."""
        self._producers.fence()


def write_lots(
    settings: Settings, tenant: str, count: int, seed: int
) -> tuple[list[WrittenRecord], list[WrittenRecord]]:
    """Produce so many random requests of this tenant, some large ones more, and some for the topics of ours."""
    lots, rng, done = FuzzLots(settings, tenant, seed), Random(seed), 0
    while done < count:
        done += lots.write(count - done)
        if rng.random() < 0.5:
            lots.write_internal()
    for _ in range(max(LEAST_LARGE, count // LARGE_SHARE)):
        lots.write_large()
    lots.fence()
    return lots.written, lots.internal
