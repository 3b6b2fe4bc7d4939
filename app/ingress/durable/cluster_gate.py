"""The way to Kafka, opened only to one that is ours: topics as declared, the contact log under our pseudonym key,
with every right that this process needs."""

from collections.abc import Iterable

from app.config.settings import Settings
from app.ingress.durable.producer import ProducerConnection
from app.kafka.client import client_settings
from app.kafka.cluster_check import require_own_contact_log, require_rights, require_topics
from app.records.topics import Topics


class ClusterGate:
    """Looks once, before the first record of this process goes there. `tenants`: each has its request topic."""

    def __init__(self, settings: Settings, tenants: Iterable[str]) -> None:
        self._topics = Topics(settings.topic_prefix, settings.group, tenants)
        self._client = client_settings(settings)
        self._key, self._fit = settings.pseudonym_key, False

    async def open(self) -> ProducerConnection:
        """A new line. Raises ClusterMismatchError, or one of `line.BROKEN` while Kafka cannot be reached."""
        if not self._fit:
            await self._look()
            self._fit = True
        return await ProducerConnection.open(**self._client)

    async def _look(self) -> None:
        topics = self._topics
        await require_rights(self._client, topics, "ingress")
        await require_topics(self._client, (topics.contacts, *topics.request_tenants, topics.deadletters))
        await require_own_contact_log(self._client, topics.contacts, self._key)
