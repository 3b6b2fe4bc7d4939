"""Spooled records that Kafka rejects, or whose topic we may not write to: set aside, so that others can be sent."""

from collections.abc import Collection

from aiokafka.errors import TopicAuthorizationFailedError

from app import telemetry
from app.ingress.durable.producer import REFUSALS
from app.ingress.durable.spool import Chunk, Spool

_log = telemetry.logger(__name__)

REFUSED = (*REFUSALS, TopicAuthorizationFailedError)
# Seconds without an attempt on a tenant's topic after an authorization error.
FORBIDDEN_S = 10.0


class RefusedRecords:
    """`tenant_topics`: topics that hold records of one tenant alone; `count`: records set aside so far."""

    def __init__(self, spool: Spool, tenant_topics: Collection[str]) -> None:
        self._spool, self._tenant_topics = spool, frozenset(tenant_topics)
        self._forbidden_until_s: dict[str, float] = {}
        # Number of records at the head of the spool of which Kafka rejects one: they are sent one by one.
        self._suspect = self.count = 0

    @property
    def most(self) -> int | None:
        """Maximum number of records in the next chunk; None: no limit."""
        return 1 if self._suspect else None

    def allow(self, topic: str, now_s: float) -> bool:
        """False for FORBIDDEN_S seconds after an authorization error on `topic`. `now_s`: time of the event loop."""
        return self._forbidden_until_s.get(topic, 0.0) <= now_s

    def sent(self) -> None:
        """Note that Kafka acknowledged a chunk."""
        self._suspect = max(0, self._suspect - 1)

    def refused(self, chunk: Chunk, error: BaseException, now_s: float) -> None:
        """Note that Kafka rejected `chunk`. After several records the next chunks have one each. A single
        record is set aside, unless it is for a topic of all tenants that we may not write to: later records must
        not overtake it there."""
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
