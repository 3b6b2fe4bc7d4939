"""What was opened is on `notify.consent`, kept for ever, before it is shown."""

from typing import Any

import msgspec
from aiokafka import AIOKafkaProducer

from app import clock
from app.cli.options.operator import recorded
from app.cli.output import say
from app.config.settings import Settings
from app.kafka.client import client_settings
from app.kafka.cluster_check import require_topics
from app.records.consent import NotifyInboundOpened, NotifyMessageOpened, NotifyTextsOpened
from app.records.envelope import headers
from app.records.topics import Topics

Record = NotifyInboundOpened | NotifyMessageOpened | NotifyTextsOpened


async def record_inbound(settings: Settings, tenant: str, contact_id: str, sid: str, by: str) -> None:
    """That a text of a person was opened. Raises KafkaError if it could not be recorded."""
    record = NotifyInboundOpened(**_about(tenant, by), contact_id=contact_id, message_sid=sid)
    await _put(settings, record, contact_id, sid)


async def record_message(settings: Settings, tenant: str, message_id: str, by: str) -> None:
    """That a message of ours was opened. Raises KafkaError if it could not be recorded."""
    contact_id = message_id.partition("-")[0]
    record = NotifyMessageOpened(**_about(tenant, by), contact_id=contact_id, message_id=message_id)
    await _put(settings, record, contact_id, message_id)


async def record_texts(settings: Settings, tenant: str, sid: str, by: str) -> None:
    """That texts as Twilio keeps them were opened: one by its SID, or with "" a list. Raises KafkaError if it could not
    be recorded."""
    record = NotifyTextsOpened(**_about(tenant, by), message_sid=sid)
    await _put(settings, record, tenant, sid or "a list of texts")


def _about(tenant: str, by: str) -> dict[str, Any]:
    return {"id": clock.new_id(), "at": clock.iso(clock.now_ms()), "tenant": tenant, **recorded(by)}


async def _put(settings: Settings, record: Record, key: str, what: str) -> None:
    topic = Topics(settings.topic_prefix, settings.group).consent
    producer = AIOKafkaProducer(acks="all", **client_settings(settings))
    made = headers(str(record.__struct_config__.tag), record.id, record.at)
    try:
        await require_topics(client_settings(settings), [topic])
        await producer.start()
        await producer.send_and_wait(topic, msgspec.json.encode(record), key=key.encode(), headers=made)
    finally:
        await producer.stop()
    say(f"kept on {topic}: {what} was opened by {record.by}", err=True)
