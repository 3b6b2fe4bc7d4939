"""What the simulated account holds besides texts: numbers, services, registrations; seeded by /_sim/account."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, TypeVar

import msgspec

from app.simulator.config import SimulatorConfig


class SimulatedNumber(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One of the account's numbers, as IncomingPhoneNumbers has it."""

    phone_number: str
    sid: str = ""
    friendly_name: str = ""
    sms: bool = True
    mms: bool = True
    sms_url: str = ""
    sms_method: str = "POST"
    sms_fallback_url: str = ""
    sms_fallback_method: str = "POST"
    sms_application_sid: str = ""


class SimulatedCampaign(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A US A2P 10DLC campaign. `campaign_id`: The Campaign Registry's."""

    campaign_status: str = "VERIFIED"
    campaign_id: str = "CSIM001"
    us_app_to_person_usecase: str = "MIXED"
    sid: str = "QE" + "0" * 32
    brand_registration_sid: str = "BN" + "0" * 32


class SimulatedService(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A Messaging Service with Twilio's defaults. `numbers`: E.164, or SIDs once they are known."""

    friendly_name: str
    sid: str = ""
    inbound_request_url: str | None = None
    inbound_method: str = "POST"
    fallback_url: str | None = None
    fallback_method: str = "POST"
    status_callback: str | None = None
    sticky_sender: bool = True
    mms_converter: bool = True
    smart_encoding: bool = True
    area_code_geomatch: bool = True
    validity_period: int = 36_000
    use_inbound_webhook_on_number: bool = False
    numbers: list[str] = []
    short_codes: list[str] = []
    alpha_senders: list[str] = []
    campaigns: list[SimulatedCampaign] = []


class SimulatedVerification(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Toll-free verification of one number, by E.164 or SID."""

    number: str
    status: Literal["PENDING_REVIEW", "IN_REVIEW", "TWILIO_APPROVED", "TWILIO_REJECTED"] = "TWILIO_APPROVED"
    rejection_reason: str | None = None


class AccountSeed(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What POST /_sim/account puts in place; a list that is not named stays as it is.

    `test`: the credentials are test credentials, which may read nothing (20008). `answers_as`: the SID that the account
    shows, "" for its own.
    """

    status: Literal["active", "suspended", "closed"] = "active"
    type: Literal["Full", "Trial"] = "Full"
    test: bool = False
    answers_as: str = ""
    numbers: list[SimulatedNumber] | None = None
    services: list[SimulatedService] | None = None
    verifications: list[SimulatedVerification] | None = None


Held = TypeVar("Held", SimulatedNumber, SimulatedService)


class SimulatedAccount:
    """The memory. `asked`: requests that came, allowed or not; `changes`: writes taken. A test sees that none was.
    `described`: somebody said which numbers or services there are, so others are none of the account's."""

    def __init__(self, config: SimulatorConfig) -> None:
        self._config = config
        self.asked = self.changes = 0
        self.clear()

    def clear(self) -> None:
        """As at first: the numbers are the senders, all in the service if one is named, and nothing is described."""
        self.account = AccountSeed()
        self.verifications: dict[str, SimulatedVerification] = {}
        self.numbers = _by_sid([SimulatedNumber(phone_number=number) for number in self._config.senders], "PN")
        first = _by_sid([_in_order(self._config, self.numbers)], "MG") if self._config.service else {}
        self.services: dict[str, SimulatedService] = first
        self.described = False

    def seed(self, seed: AccountSeed) -> None:
        """Put in place. Raises ValueError, and puts nothing, when a service or verification names no number of the
        account."""
        numbers = self.numbers if seed.numbers is None else _by_sid(seed.numbers, "PN")
        services = self.services if seed.services is None else _by_sid(seed.services, "MG")
        known = {number.phone_number: sid for sid, number in numbers.items()} | {sid: sid for sid in numbers}
        verified = {_named(made.number, known): made for made in seed.verifications or ()}
        for service in seed.services or ():
            service.numbers = [_named(number, known) for number in service.numbers]
        self.account, self.numbers, self.services = seed, numbers, services
        self.described |= seed.numbers is not None or seed.services is not None
        if seed.verifications is not None:
            self.verifications = verified
        for service in services.values():
            service.numbers = [sid for sid in service.numbers if sid in numbers]

    def found(self, phone_number: str) -> Sequence[SimulatedNumber]:
        """Numbers of the account, by E.164 if one is given."""
        return [number for number in self.numbers.values() if phone_number in ("", number.phone_number)]

    def service_of(self, number_sid: str) -> SimulatedService | None:
        """The service that a number is in: one at most."""
        return next((service for service in self.services.values() if number_sid in service.numbers), None)


def _named(given: str, known: Mapping[str, str]) -> str:
    """The SID of a number named by SID or E.164. Raises ValueError."""
    if given not in known:
        raise ValueError("a service or a verification names no number of the account")
    return known[given]


def _in_order(config: SimulatorConfig, numbers: Iterable[str]) -> SimulatedService:
    """A service in which nothing is amiss, if the URLs are told."""
    return SimulatedService(
        friendly_name="simulated",
        sid=config.service,
        inbound_request_url=config.inbound_url or None,
        fallback_url=config.fallback_url or None,
        numbers=list(numbers),
        campaigns=[SimulatedCampaign()],
    )


def new(prefix: str) -> str:
    """A SID never given before."""
    return prefix + uuid.uuid4().hex


def _by_sid(given: Sequence[Held], prefix: str) -> dict[str, Held]:
    for made in given:
        made.sid = made.sid or new(prefix)
    return {made.sid: made for made in given}
