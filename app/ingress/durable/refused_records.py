"""Records of the spool that Kafka refuses for what they are, or whose topic it forbids us: set aside, and the others go
on."""

from collections.abc import Collection

from aiokafka.errors import TopicAuthorizationFailedError

from app import telemetry
from app.ingress.durable.producer import REFUSALS
from app.ingress.durable.spool import Chunk, Spool

_log = telemetry.logger(__name__)

REFUSED = (*REFUSALS, TopicAuthorizationFailedError)
# After Kafka forbade us a tenant's topic nothing is tried on it for so long.
FORBIDDEN_S = 10.0


class RefusedRecords:
    """`tenant_topics`: topics that hold records of one tenant alone; `count`: records set aside so far."""

    def __init__(self, spool: Spool, tenant_topics: Collection[str]) -> None:
        self._spool, self._tenant_topics = spool, frozenset(tenant_topics)
        self._forbidden_until_s: dict[str, float] = {}
        # Records at the head of the spool one of which Kafka refuses: they are sent one by one.
        self._suspect = self.count = 0

    @property
    def most(self) -> int | None:
        """How many records the next chunk may have; None: any number."""
        return 1 if self._suspect else None

    def allow(self, topic: str, now_s: float) -> bool:
        """False for a while after Kafka forbade us the topic. `now_s`: the loop's time."""
        return self._forbidden_until_s.get(topic, 0.0) <= now_s

    def sent(self) -> None:
        """Kafka took a chunk."""
        self._suspect = max(0, self._suspect - 1)

    def refused(self, chunk: Chunk, error: BaseException, now_s: float) -> None:
        """Kafka did not take it: the next chunks have one record each; a record that was refused alone is set aside.
        One that is forbidden on a topic of all tenants stays, as what is behind it must not overtake it."""
        if len(chunk.records) > 1:
            self._suspect = len(chunk.records)
            return
        topic = chunk.records[0].topic
        if isinstance(error, TopicAuthorizationFailedError):
            if topic not in self._tenant_topics:
                return
            self._forbidden_until_s[topic] = now_s + FORBIDDEN_S
        _log.error("spool.record_refused", topic=topic, error=type(error).__name__)
        self._spool.refuse(chunk)
        self.sent()
        self.count += 1
