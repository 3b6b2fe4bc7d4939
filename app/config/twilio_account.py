"""What the tenants file declares of a tenant's Twilio account: Messaging Services, and the webhooks of single numbers.

[tenants.acme.services.main]     # a lane sends through it by `service = "main"`
sid = "MG..."                    # as `heliograph twilio apply` printed it; "": by friendly name, or to be made
friendly_name = "acme main"      # "": heliograph TENANT NAME
numbers = ["+14155550100", "PN..."]
sticky_sender = true             # as area_code_geomatch, smart_encoding, mms_converter; not named: as Twilio has it
validity_s = 14400
campaign = "C123ABC"             # The Campaign Registry's id of the US A2P campaign, and its use case: compared only
use_case = "MIXED"
[tenants.acme.numbers.hotline]
number = "+14155550101"          # or PN...

URLs (`status_callback_url`, `inbound_url`, `fallback_url`) are those of the tenant unless they are named here. The
ingress verifies signatures over the tenant's alone: another one is another system's, such as a fallback elsewhere.
"""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from app.config import parsers

URLS = ("status_callback_url", "inbound_url", "fallback_url")


class ServiceConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A Messaging Service as the tenants file declares it. `validity_s`: Twilio's range."""

    sid: str = ""
    friendly_name: str = ""
    numbers: tuple[str, ...] = ()
    status_callback_url: str = ""
    inbound_url: str = ""
    fallback_url: str = ""
    sticky_sender: bool | None = None
    area_code_geomatch: bool | None = None
    smart_encoding: bool | None = None
    mms_converter: bool | None = None
    validity_s: Annotated[int, Meta(ge=1, le=36_000)] | None = None
    use_inbound_webhook_on_number: bool = False
    campaign: str = ""
    use_case: str = ""


class NumberConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A number whose own webhooks are declared."""

    number: str = ""
    inbound_url: str = ""
    fallback_url: str = ""


def faults(services: Mapping[str, ServiceConfig], numbers: Mapping[str, NumberConfig]) -> list[str]:
    """What does not hold together, by table and field; no number is quoted."""
    found = [f"services.{name}.{fault}" for name, service in services.items() for fault in _of_service(service)]
    found += [f"numbers.{name}.{fault}" for name, number in numbers.items() for fault in _of_number(number)]
    counts = Counter(number for service in services.values() for number in set(service.numbers))
    twice = {number for number, count in counts.items() if count > 1}
    return found + [
        f"services.{name}.numbers[{at}]: is in another service too; a number can be in one"
        for name, service in services.items()
        for at, number in enumerate(service.numbers)
        if number in twice
    ]


def number(text: str) -> str:
    """A number in E.164 or the SID of one. Raises ValueError."""
    if not re.fullmatch(f"{parsers.E164}|PN[0-9a-fA-F]{{32}}", text):
        raise ValueError("must be a number in E.164 (+14155550123) or PN and 32 hex digits")
    return text


def _of_service(service: ServiceConfig) -> list[str]:
    shapes = [("sid", parsers.sid("MG"), service.sid), *((name, parsers.url, getattr(service, name)) for name in URLS)]
    shapes += [(f"numbers[{at}]", number, text or "-") for at, text in enumerate(service.numbers)]
    return [f"{name}: {rule}" for name, read, text in shapes if text and (rule := parsers.broken(read, text))]


def _of_number(given: NumberConfig) -> list[str]:
    shapes = [("number", number, given.number or "-")]
    shapes += [(name, parsers.url, getattr(given, name)) for name in URLS[1:]]
    return [f"{name}: {rule}" for name, read, text in shapes if text and (rule := parsers.broken(read, text))]
