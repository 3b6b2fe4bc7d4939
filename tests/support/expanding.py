"""The agents that expand requests, outside a worker."""

from collections.abc import Mapping
from typing import Any

import msgspec

from app.config.settings import Settings
from app.config.tenants import Tenant
from app.domain.model.identity import key_fingerprint
from app.domain.model.inputs import MessageRequested, RequestRejected
from app.records.caller_fields import CallerFields, open_caller_fields
from app.records.seal import Sealer
from app.records.topics import Topics
from app.streams.agents.bulk import BulkAgent, BulkPacer
from app.streams.agents.dead_letters import DeadLetters
from app.streams.agents.expansion import RequestExpansion
from app.streams.agents.intake import IntakeAgent
from app.streams.agents.policy_resolver import PolicyResolver
from app.streams.agents.recipient_inputs import InputContext
from app.streams.engine.agent import Input, Output
from app.streams.engine.overlay import Overlay
from app.streams.engine.record_fold import fold_whole

NUMBERS = [f"+1212555{n:04d}" for n in range(100, 200)]
LOGGED_MS = 1_800_000_000_000
SEALER, KEY = Sealer({"k1": b"s" * 32}), b"k" * 32


def request_expansion(tenants: Mapping[str, Tenant], sealer: Sealer = SEALER, key: bytes = KEY) -> RequestExpansion:
    """Each tenant has a request topic; on the shared one are those that allow it."""
    letters = DeadLetters("notify.deadletters", sealer)
    context = InputContext("contacts", sealer, key, key_fingerprint(key), letters)
    owners = Topics("", "", tenants).request_tenants
    return RequestExpansion(tenants, PolicyResolver(Settings.read({})), context, owners)


def intake_agent(tenants: Mapping[str, Tenant], sealer: Sealer = SEALER, key: bytes = KEY) -> IntakeAgent:
    return IntakeAgent("notify.requests", "bulk", request_expansion(tenants, sealer, key))


def bulk_agent(tenants: Mapping[str, Tenant], pacer: BulkPacer | None = None) -> BulkAgent:
    return BulkAgent("bulk", request_expansion(tenants), pacer or BulkPacer(0))


def inputs_in(outputs: list[Output]) -> list[MessageRequested | RequestRejected]:
    return [
        msgspec.json.decode(o.value or b"", type=MessageRequested | RequestRejected)
        for o in outputs
        if o.topic == "contacts"
    ]


def caller_fields(asked: MessageRequested | RequestRejected) -> CallerFields:
    return open_caller_fields(SEALER, asked.sealed_caller_fields, asked.tenant, asked.message_id)


def record(request: dict[str, Any], headers: Any = (), key: bytes | None = b"k") -> Input:
    """A request as intake reads it."""
    value = msgspec.json.encode({"type": "notify.requested.v1", "body": "hello", **request})
    return Input("notify.requests", 3, 17, LOGGED_MS, key, value, list(headers))


def taken_in(asked: Input, tenants: Mapping[str, Tenant]) -> list[Output]:
    """What intake makes of it."""
    overlay = Overlay((), {})
    fold_whole(intake_agent(tenants), asked, overlay)
    return overlay.outputs


def as_read(parked: Output, offset: int = 5) -> Input:
    """A parked record as agent `bulk` reads it."""
    return Input("bulk", 2, offset, LOGGED_MS + 60_000, parked.key, parked.value, parked.headers)
