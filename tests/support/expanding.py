"""The agents that expand requests, outside a worker."""

from collections.abc import Mapping

import msgspec

from app.domain.identity import key_fingerprint
from app.domain.inputs import Rejected, Requested
from app.records.seal import Sealer
from app.settings import Settings
from app.streams.bulk import BulkAgent, BulkPacer
from app.streams.deadletters import DeadLetters
from app.streams.engine.agent import Output
from app.streams.expansion import RequestExpansion
from app.streams.intake import IntakeAgent
from app.streams.policy import Policies
from app.streams.recipient_inputs import InputContext
from app.tenants import Tenant

SEALER, KEY = Sealer({"k1": b"s" * 32}), b"k" * 32


def request_expansion(tenants: Mapping[str, Tenant], sealer: Sealer = SEALER, key: bytes = KEY) -> RequestExpansion:
    letters = DeadLetters("notify.deadletters", sealer)
    context = InputContext("contacts", sealer, key, key_fingerprint(key), letters)
    return RequestExpansion(tenants, Policies(Settings.read({})), context)


def intake_agent(tenants: Mapping[str, Tenant], sealer: Sealer = SEALER, key: bytes = KEY) -> IntakeAgent:
    return IntakeAgent("notify.requests", "bulk", request_expansion(tenants, sealer, key))


def bulk_agent(tenants: Mapping[str, Tenant], pacer: BulkPacer | None = None) -> BulkAgent:
    return BulkAgent("bulk", request_expansion(tenants), pacer or BulkPacer(0))


def inputs_in(outputs: list[Output]) -> list[Requested | Rejected]:
    return [msgspec.json.decode(o.value or b"", type=Requested | Rejected) for o in outputs if o.topic == "contacts"]
