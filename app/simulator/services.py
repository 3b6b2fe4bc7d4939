"""Messaging Services: create, read, update, delete; their numbers; the senders and US A2P campaigns they have.

Twilio's Messaging v1 API, whose paths begin with /v1. A number is in one service at most (21712), and in it once
(21710).
"""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from app.simulator import rules
from app.simulator.account_access import MISSING, AccountAccess, answered, form, page, refused
from app.simulator.account_data import SimulatedAccount, SimulatedService, new
from app.simulator.rules import CreateRejection

ALREADY_HERE = CreateRejection(21710, "Phone Number or Short Code is already in the Messaging Service", 409)
ELSEWHERE = CreateRejection(21712, "Phone Number or Short Code is associated with another Messaging Service", 409)
TEXTS = {
    "FriendlyName": "friendly_name",
    "InboundRequestUrl": "inbound_request_url",
    "InboundMethod": "inbound_method",
    "FallbackUrl": "fallback_url",
    "FallbackMethod": "fallback_method",
    "StatusCallback": "status_callback",
}
SWITCHES = {
    "StickySender": "sticky_sender",
    "MmsConverter": "mms_converter",
    "SmartEncoding": "smart_encoding",
    "AreaCodeGeomatch": "area_code_geomatch",
    "UseInboundWebhookOnNumber": "use_inbound_webhook_on_number",
}


class Services:
    """The handlers of the routes /v1/Services."""

    def __init__(self, account: str, holdings: SimulatedAccount, guard: AccountAccess) -> None:
        self._account, self._holdings, self._guard = account, holdings, guard

    async def every(self, request: Request) -> Response:
        """GET lists, POST creates."""
        if (no := self._guard.refusal(request)) is not None:
            return refused(no)
        if request.method == "GET":
            rows = [self._shown(service) for service in self._holdings.services.values()]
            return self._page(request, "services", rows)
        given = await form(request)
        if not given.get("FriendlyName"):
            return refused(MISSING)
        made = SimulatedService(friendly_name=given["FriendlyName"], sid=new("MG"))
        self._holdings.services[made.sid] = made
        self._holdings.described = True
        return self._changed(made, given, 201)

    async def one(self, request: Request) -> Response:
        """GET reads, POST updates, DELETE deletes."""
        found = self._found(request)
        if isinstance(found, CreateRejection):
            return refused(found)
        if request.method == "POST":
            return self._changed(found, await form(request), 200)
        if request.method == "DELETE":
            self._holdings.changes += 1
            del self._holdings.services[found.sid]
            return Response(status_code=204)
        return answered(200, self._shown(found))

    async def numbers(self, request: Request) -> Response:
        """GET lists those of a service, POST attaches one."""
        found = self._found(request)
        if isinstance(found, CreateRejection):
            return refused(found)
        if request.method == "GET":
            return self._page(request, "phone_numbers", [self._number(found, sid) for sid in found.numbers])
        sid = (await form(request)).get("PhoneNumberSid", "")
        if sid not in self._holdings.numbers:
            return refused(rules.NOT_FOUND)
        if (holder := self._holdings.service_of(sid)) is not None:
            return refused(ALREADY_HERE if holder is found else ELSEWHERE)
        self._holdings.changes += 1
        self._holdings.described = True
        found.numbers.append(sid)
        return answered(201, self._number(found, sid))

    async def number(self, request: Request) -> Response:
        """DELETE takes a number out of a service; the account keeps it."""
        found, sid = self._found(request), request.path_params["number"]
        if isinstance(found, CreateRejection) or sid not in found.numbers:
            return refused(found if isinstance(found, CreateRejection) else rules.NOT_FOUND)
        self._holdings.changes += 1
        found.numbers.remove(sid)
        return Response(status_code=204)

    async def short_codes(self, request: Request) -> Response:
        """GET lists those of a service."""
        return self._listed(request, "short_codes", "short_code")

    async def alpha_senders(self, request: Request) -> Response:
        """GET lists those of a service."""
        return self._listed(request, "alpha_senders", "alpha_sender")

    async def campaigns(self, request: Request) -> Response:
        """GET lists the US A2P campaigns of a service."""
        found = self._found(request)
        if isinstance(found, CreateRejection):
            return refused(found)
        rows = [{**_dict(campaign), "messaging_service_sid": found.sid} for campaign in found.campaigns]
        return self._page(request, "compliance", rows)

    def _listed(self, request: Request, name: str, field: str) -> Response:
        found = self._found(request)
        if isinstance(found, CreateRejection):
            return refused(found)
        return self._page(request, name, [{"sid": f"SC{n:032}", field: s} for n, s in enumerate(getattr(found, name))])

    def _found(self, request: Request) -> SimulatedService | CreateRejection:
        no = self._guard.refusal(request)
        return no or self._holdings.services.get(request.path_params["sid"]) or rules.NOT_FOUND

    def _changed(self, service: SimulatedService, given: Mapping[str, str], status: int) -> Response:
        self._holdings.changes += 1
        for name, field in TEXTS.items():
            if name in given:
                setattr(service, field, given[name] or None)
        for name, field in SWITCHES.items():
            if name in given:
                setattr(service, field, given[name].lower() == "true")
        if given.get("ValidityPeriod", "").isdecimal():
            service.validity_period = int(given["ValidityPeriod"])
        return answered(status, self._shown(service))

    def _page(self, request: Request, name: str, rows: list[dict[str, Any]]) -> Response:
        url = str(request.url.replace(query=""))
        return answered(200, page(name, url, rows, request.query_params))

    def _shown(self, service: SimulatedService) -> dict[str, Any]:
        hidden = ("numbers", "short_codes", "alpha_senders", "campaigns")
        shown = {name: value for name, value in _dict(service).items() if name not in hidden}
        registered = any(campaign.campaign_status == "VERIFIED" for campaign in service.campaigns)
        return {**shown, "account_sid": self._account, "us_app_to_person_registered": registered}

    def _number(self, service: SimulatedService, sid: str) -> dict[str, Any]:
        number = self._holdings.numbers[sid]
        able = [name for name, is_able in (("SMS", number.sms), ("MMS", number.mms)) if is_able]
        shown = {"sid": sid, "phone_number": number.phone_number, "capabilities": able, "service_sid": service.sid}
        return {**shown, "account_sid": self._account}


def _dict(struct: Any) -> dict[str, Any]:
    return {name: getattr(struct, name) for name in struct.__struct_fields__}
