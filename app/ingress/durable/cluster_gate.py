"""Opens connections to Kafka once the cluster is verified: topics exist, the contact log was written under our
pseudonym key, and this process has every right that it needs."""

from collections.abc import Iterable

from app.config.settings import Settings
from app.ingress.durable.producer import ProducerConnection
from app.kafka.client import client_settings
from app.kafka.cluster_check import require_own_contact_log, require_rights, require_topics
from app.records.topics import Topics


class ClusterGate:
    """Verifies the cluster once, before the first connection. `tenants`: names, each with its own request topic."""

    def __init__(self, settings: Settings, tenants: Iterable[str]) -> None:
        self._topics = Topics(settings.topic_prefix, settings.group, tenants)
        self._client = client_settings(settings)
        self._key, self._verified = settings.pseudonym_key, False

    async def open(self) -> ProducerConnection:
        """Open a connection. Raises ClusterMismatchError, or one of `producer.BROKEN` while Kafka is unavailable."""
        if not self._verified:
            await self._verify()
            self._verified = True
        return await ProducerConnection.open(**self._client)

    async def _verify(self) -> None:
        topics = self._topics
        await require_rights(self._client, topics, "ingress")
        await require_topics(self._client, (topics.contacts, *topics.request_tenants, topics.deadletters))
        await require_own_contact_log(self._client, topics.contacts, self._key)
