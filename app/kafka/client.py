"""Settings to the keyword arguments of Kafka clients: aiokafka's and Faust's."""

import ssl
from typing import Any

from app.config.settings import Settings


def client_settings(settings: Settings) -> dict[str, Any]:
    """For any aiokafka client, servers included."""
    given: dict[str, Any] = {"bootstrap_servers": settings.kafka, "security_protocol": settings.kafka_protocol}
    if settings.kafka_protocol.endswith("SSL"):
        given["ssl_context"] = ssl.create_default_context(cafile=settings.ssl_cafile or None)
    if settings.kafka_protocol.startswith("SASL"):
        given |= {
            "sasl_mechanism": settings.sasl_mechanism,
            "sasl_plain_username": settings.sasl_username,
            "sasl_plain_password": "".join(settings.sasl_password),
        }
    return given


def faust_settings(settings: Settings) -> dict[str, Any]:
    """For Faust's own settings."""
    context = None
    if settings.kafka_protocol.endswith("SSL"):
        context = ssl.create_default_context(cafile=settings.ssl_cafile or None)
    if settings.kafka_protocol.startswith("SASL"):
        from faust import SASLCredentials

        credentials = SASLCredentials(
            username=settings.sasl_username,
            password="".join(settings.sasl_password),
            mechanism=settings.sasl_mechanism,
            ssl_context=context,
        )
        return {"broker_credentials": credentials}
    return {"ssl_context": context} if context else {}


def kafka_error() -> type[Exception]:
    """What aiokafka raises when the broker cannot be had."""
    from aiokafka.errors import KafkaError

    return KafkaError  # type: ignore[no-any-return] # aiokafka is untyped
