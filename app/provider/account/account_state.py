"""What an account holds, as far as texts depend on it. Names are Twilio's own, those of its SDK."""

import re

import msgspec

from app.domain.content.phone import read_address

# NANPA: the codes of toll-free numbers.
_TOLL_FREE = re.compile(r"\+1(800|833|844|855|866|877|888)\d{7}\Z")


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """`status`: active, suspended or closed; `type`: Full or Trial."""

    sid: str
    status: str
    type: str


class AccountNumber(msgspec.Struct, frozen=True, kw_only=True):
    """One of the account's numbers. `sms_application_sid`: if there is one, Twilio ignores the URLs."""

    sid: str
    phone_number: str
    friendly_name: str = ""
    sms: bool = True
    mms: bool = True
    sms_url: str = ""
    sms_method: str = "POST"
    sms_fallback_url: str = ""
    sms_fallback_method: str = "POST"
    sms_application_sid: str = ""

    def __repr__(self) -> str:
        return f"<Number {self.sid}>"

    @property
    def toll_free(self) -> bool:
        """Whether carriers ask for a toll-free verification."""
        return bool(_TOLL_FREE.match(self.phone_number))

    @property
    def long_code(self) -> bool:
        """Whether US carriers ask for an A2P campaign behind it."""
        return not self.toll_free and read_address(self.phone_number).country == "US"


class AccountCampaign(msgspec.Struct, frozen=True, kw_only=True):
    """A US A2P campaign; `campaign_id`: The Campaign Registry's."""

    sid: str
    campaign_status: str
    campaign_id: str = ""
    us_app_to_person_usecase: str = ""


class AccountService(msgspec.Struct, frozen=True, kw_only=True):
    """A Messaging Service. `numbers`: SIDs. `inbound_request_url` "": null at Twilio, nothing is received at all."""

    sid: str
    friendly_name: str
    inbound_request_url: str = ""
    inbound_method: str = "POST"
    fallback_url: str = ""
    fallback_method: str = "POST"
    status_callback: str = ""
    sticky_sender: bool = True
    mms_converter: bool = True
    smart_encoding: bool = True
    area_code_geomatch: bool = True
    validity_period: int = 36_000
    use_inbound_webhook_on_number: bool = False
    numbers: tuple[str, ...] = ()


class Members(msgspec.Struct, frozen=True, kw_only=True):
    """What a service has besides numbers."""

    other_senders: int
    campaigns: tuple[AccountCampaign, ...]


class AccountVerification(msgspec.Struct, frozen=True, kw_only=True):
    """Of a toll-free number, by its SID."""

    number_sid: str
    status: str
    rejection_reason: str = ""


class AccountState(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. `members`: by SID of the services that were looked into."""

    services: tuple[AccountService, ...] = ()
    numbers: tuple[AccountNumber, ...] = ()
    members: dict[str, Members] = {}
    verifications: tuple[AccountVerification, ...] = ()

    def service(self, sid: str) -> AccountService | None:
        """The Messaging Service with this SID."""
        return next((service for service in self.services if service.sid == sid), None)

    def named(self, friendly_name: str) -> list[AccountService]:
        """By friendly name, which is no key at Twilio."""
        return [service for service in self.services if service.friendly_name == friendly_name]

    def number(self, text: str) -> AccountNumber | None:
        """By SID or in E.164."""
        return next((number for number in self.numbers if text in (number.sid, number.phone_number)), None)

    def holder(self, number_sid: str) -> AccountService | None:
        """The service that a number is in: one at most."""
        return next((service for service in self.services if number_sid in service.numbers), None)
