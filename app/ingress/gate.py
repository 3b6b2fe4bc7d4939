"""The way to Kafka, opened only to one that is ours: topics as declared, the contact log under our pseudonym key."""

from aiokafka.admin import AIOKafkaAdminClient

from app import kafka
from app.domain.identity import key_fingerprint
from app.ingress.line import Line
from app.records.fingerprint import foreign_fingerprint
from app.records.topics import Topics
from app.settings import Settings


class Unfit(Exception):
    """This process must not write to this Kafka; the text says why and what to do."""


class Gate:
    """Looks once, before the first record of this process goes there."""

    def __init__(self, settings: Settings) -> None:
        self._topics = Topics(settings.topic_prefix, settings.group)
        self._client = kafka.client(settings)
        self._fingerprint, self._fit = key_fingerprint(settings.pseudonym_key), False

    async def open(self) -> Line:
        """A new line. Raises Unfit, or one of `line.BROKEN` while Kafka cannot be reached."""
        if not self._fit:
            await self._look()
            self._fit = True
        return await Line.open(**self._client)

    async def _look(self) -> None:
        topics = self._topics
        there = await self._there()
        if missing := [name for name in (topics.contacts, topics.requests, topics.deadletters) if name not in there]:
            raise Unfit(f"topics are missing: {', '.join(missing)}; run: heliograph topics apply")
        if found := await foreign_fingerprint(topics.contacts, self._fingerprint, **self._client):
            raise Unfit(
                f"HELIOGRAPH_PSEUDONYM_KEY: topic {topics.contacts} was written under another key "
                f"({found}, ours {self._fingerprint})"
            )

    async def _there(self) -> set[str]:
        admin = AIOKafkaAdminClient(**self._client)
        try:
            await admin.start()
            return set(await admin.list_topics())
        finally:
            await admin.close()
