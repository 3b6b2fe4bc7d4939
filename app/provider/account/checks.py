"""What an account holds, judged by what the tenants file says: pure. See `findings` for the names."""

from collections.abc import Iterator
from urllib.parse import urldefrag

from app.config import twilio_account
from app.config.tenants import Tenant
from app.domain.content.phone import mask
from app.provider.account.account_state import AccountNumber, AccountService, AccountState
from app.provider.account.desired_state import DesiredWebhooks, wanted, webhooks
from app.provider.account.findings import Finding, Name, shown
from app.provider.account.plan import find

APPROVED, VERIFIED = "VERIFIED", "TWILIO_APPROVED"


def looked_into(tenant: Tenant, held: AccountState) -> set[str]:
    """SIDs of the services whose senders and campaigns matter."""
    lanes = tenant.lanes.values()
    numbers = [number for lane in lanes if (number := held.number(lane.from_number)) is not None]
    holders = {holder.sid for number in numbers if (holder := held.holder(number.sid)) is not None}
    return {lane.messaging_service_sid for lane in lanes} | set(_declared(tenant, held)) | holders


def judge(tenant: Tenant, held: AccountState) -> list[Finding]:
    """Every finding about lanes, services and numbers."""
    return list(_Judge(tenant, held).all())


def _declared(tenant: Tenant, held: AccountState) -> dict[str, tuple[str, twilio_account.ServiceConfig]]:
    """Declared services that are there, by SID: name and table."""
    found = {service.name: find(service, held) for service in wanted(tenant).services}
    return {one.sid: (name, tenant.services[name]) for name, one in found.items() if isinstance(one, AccountService)}


class _Judge:
    def __init__(self, tenant: Tenant, held: AccountState) -> None:
        self._tenant, self._held, self._declared = tenant, held, _declared(tenant, held)
        self._judged: set[tuple[str, str]] = set()  # aspect and SID: told once, whatever lanes lead there

    def all(self) -> Iterator[Finding]:
        for name, lane in self._tenant.lanes.items():
            if lane.messaging_service_sid:
                yield from self._named(f"lanes.{name}", lane.messaging_service_sid)
        for name, lane in self._tenant.lanes.items():
            if lane.from_number.startswith("+"):
                yield from self._pinned(f"lanes.{name}.from_number", lane.from_number, lane.messaging_service_sid)
        for name, service in self._tenant.services.items():
            sid = next((sid for sid, (known, _) in self._declared.items() if known == name), service.sid)
            if not service.sid:
                problem = f"is not set: the service is {sid}" if sid else "is not set, and there is no such service"
                yield self._finding(Name.SERVICE_NOT_MADE, f"services.{name}.sid", problem)
            if sid and sid not in {lane.messaging_service_sid for lane in self._tenant.lanes.values()}:
                yield from self._named(f"services.{name}", sid)
        for name, number in self._tenant.numbers.items():
            yield from self._own(f"numbers.{name}", number.number)

    def _again(self, aspect: str, sid: str) -> bool:
        """Whether this was judged before."""
        again = (aspect, sid) in self._judged
        self._judged.add((aspect, sid))
        return again

    def _finding(self, name: Name, where: str, problem: str) -> Finding:
        return Finding(name=name, tenant=self._tenant.name, where=where, problem=problem)

    def _named(self, where: str, sid: str) -> Iterator[Finding]:
        """A service by its SID."""
        service = self._held.service(sid)
        if service is None:
            yield self._finding(Name.SERVICE_UNKNOWN, where, f"service {sid} is not in this account")
            return
        if self._again("service", sid):
            return
        where = f"{where} ({sid})"
        members = self._held.members.get(sid)
        if not service.numbers and not (members and members.other_senders):
            yield self._finding(Name.SERVICE_EMPTY, where, "the service has no sender")
        yield from self._service_webhooks(where, service)
        numbers = [number for one in service.numbers if (number := self._held.number(one)) is not None]
        for number in numbers:
            yield from self._sender(f"{where} {mask(number.phone_number)}", number)
            if service.use_inbound_webhook_on_number:
                yield from self._number_webhooks(where, number)
        if any(number.long_code for number in numbers):
            yield from self._campaign(where, sid)

    def _pinned(self, where: str, e164: str, sid: str) -> Iterator[Finding]:
        """A number that a lane sends from by itself, or within the service `sid`."""
        number, service = self._held.number(e164), self._held.service(sid)
        if number is None:
            yield self._finding(Name.NUMBER_UNKNOWN, where, f"{mask(e164)} is not a number of this account")
            return
        if service is not None:
            if number.sid not in service.numbers:
                yield self._finding(Name.NUMBER_IN_NO_SERVICE, where, f"{number.sid} is not in service {sid}")
            return
        holder = self._held.holder(number.sid)
        yield from self._sender(where, number)
        if holder is None or holder.use_inbound_webhook_on_number:
            yield from self._number_webhooks(where, number)
        else:
            yield from self._service_webhooks(f"{where} ({holder.sid})", holder)
        if number.long_code and holder is not None:
            yield from self._campaign(f"{where} ({holder.sid})", holder.sid)
        elif number.long_code and not self._again("in a service", number.sid):
            yield self._finding(Name.NUMBER_IN_NO_SERVICE, where, f"US long code {number.sid} is in no service")

    def _own(self, where: str, text: str) -> Iterator[Finding]:
        """A number that is declared for its webhooks, whoever sends from it."""
        number = self._held.number(text)
        if number is None:
            yield self._finding(Name.NUMBER_UNKNOWN, f"{where}.number", "is not a number of this account")
        else:
            yield from self._number_webhooks(where, number)

    def _sender(self, where: str, number: AccountNumber) -> Iterator[Finding]:
        if self._again("sender", number.sid):
            return
        if not number.sms:
            yield self._finding(Name.NUMBER_NOT_SMS, where, f"number {number.sid} cannot send texts")
        if number.toll_free:
            found = {one.number_sid: one for one in self._held.verifications}.get(number.sid)
            if found is None or found.status != VERIFIED:
                status = f"its verification is {found.status}" if found else "it has no verification"
                yield self._finding(Name.TOLL_FREE_NOT_VERIFIED, where, f"number {number.sid} is toll-free, {status}")

    def _campaign(self, where: str, sid: str) -> Iterator[Finding]:
        if self._again("campaign", sid):
            return
        members = self._held.members.get(sid)
        campaigns = members.campaigns if members else ()
        table = self._declared.get(sid, ("", twilio_account.ServiceConfig()))[1]
        if not campaigns:
            yield self._finding(Name.CAMPAIGN_MISSING, where, "it has US long codes and no A2P campaign")
        elif not any(campaign.campaign_status == APPROVED for campaign in campaigns):
            statuses = ", ".join(sorted({campaign.campaign_status for campaign in campaigns}))
            yield self._finding(Name.CAMPAIGN_NOT_APPROVED, where, f"the campaign is {statuses}")
        for field, given, held in (
            ("campaign", table.campaign, {text for one in campaigns for text in (one.sid, one.campaign_id)}),
            ("use_case", table.use_case, {campaign.us_app_to_person_usecase for campaign in campaigns}),
        ):
            if campaigns and given and given not in held:
                told = ", ".join(sorted(filter(None, held)))
                yield self._finding(Name.CAMPAIGN_DIFFERS, f"{where}.{field}", f"is {given}, at Twilio {told}")

    def _service_webhooks(self, where: str, service: AccountService) -> Iterator[Finding]:
        if self._again("webhooks", service.sid):
            return
        _, table = self._declared.get(service.sid, ("", twilio_account.ServiceConfig()))
        urls = webhooks(self._tenant, table.status_callback_url, table.inbound_url, table.fallback_url)
        if service.status_callback:  # without one each create still names its own
            yield from self._url(f"{where}.status_callback", service.status_callback, urls.status)
        if service.use_inbound_webhook_on_number:
            return
        if not service.inbound_request_url:
            yield self._finding(Name.INBOUND_OFF, f"{where}.inbound_request_url", "is not set: Twilio receives nothing")
            return
        yield from self._url(f"{where}.inbound_request_url", service.inbound_request_url, urls.inbound)
        yield from self._methods(where, ("inbound_method", service.inbound_method))
        yield from self._fallback(where, ("fallback_url", service.fallback_url), service.fallback_method, urls)

    def _number_webhooks(self, where: str, number: AccountNumber) -> Iterator[Finding]:
        if self._again("webhooks", number.sid):
            return
        if number.sms_application_sid:
            problem = f"application {number.sms_application_sid} hides the URLs of {number.sid}"
            yield self._finding(Name.URL_APPLICATION, f"{where}.sms_application_sid", problem)
            return
        table = next((one for one in self._tenant.numbers.values() if self._held.number(one.number) == number), None)
        urls = webhooks(self._tenant, "", table.inbound_url, table.fallback_url) if table else webhooks(self._tenant)
        if not number.sms_url:
            problem = f"of {number.sid} is not set: nobody's STOP is received"
            yield self._finding(Name.URL_MISSING, f"{where}.sms_url", problem)
            return
        yield from self._url(f"{where}.sms_url", number.sms_url, urls.inbound)
        yield from self._methods(where, ("sms_method", number.sms_method))
        yield from self._fallback(
            where, ("sms_fallback_url", number.sms_fallback_url), number.sms_fallback_method, urls
        )

    def _fallback(self, where: str, held: tuple[str, str], method: str, urls: DesiredWebhooks) -> Iterator[Finding]:
        field, url = held
        if not url:
            yield self._finding(Name.FALLBACK_MISSING, f"{where}.{field}", "is not set")
            return
        yield from self._url(f"{where}.{field}", url, urls.fallback)
        yield from self._methods(where, (field.replace("_url", "_method"), method))

    def _methods(self, where: str, held: tuple[str, str]) -> Iterator[Finding]:
        if held[1].upper() != "POST":
            yield self._finding(Name.URL_METHOD, f"{where}.{held[0]}", f"is {held[1]}")

    def _url(self, where: str, held: str, configured: str) -> Iterator[Finding]:
        """What Twilio calls, and what the door verifies: the same but for the overrides."""
        (bare, fragment), expected = urldefrag(held), urldefrag(configured)[0]
        if configured and bare != expected:
            yield self._finding(Name.URL_MISMATCH, where, f"is {shown(bare)}, configured {shown(expected)}")
        elif "rc=" not in fragment:
            yield self._finding(Name.RETRIES_MISSING, where, f"{shown(held)} has no rc= and rp= behind a #")
