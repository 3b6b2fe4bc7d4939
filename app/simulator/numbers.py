"""The account itself, its numbers, and the verification of toll-free ones."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from app.simulator import rules
from app.simulator.account_access import AccountAccess, answered, form, legacy_page, page, refused
from app.simulator.account_data import SimulatedAccount, SimulatedNumber
from app.simulator.rules import CreateRejection

FIELDS = {
    "FriendlyName": "friendly_name",
    "SmsUrl": "sms_url",
    "SmsMethod": "sms_method",
    "SmsFallbackUrl": "sms_fallback_url",
    "SmsFallbackMethod": "sms_fallback_method",
    "SmsApplicationSid": "sms_application_sid",
}


class Numbers:
    """Handlers of /2010-04-01/Accounts/{account} and its IncomingPhoneNumbers, and of /v1/Tollfree/Verifications."""

    def __init__(self, account: str, holdings: SimulatedAccount, guard: AccountAccess) -> None:
        self._account, self._holdings, self._guard = account, holdings, guard

    async def account(self, request: Request) -> Response:
        """GET reads the account; an API key may not."""
        if (no := self._guard.refusal(request, keys=False)) is not None:
            return refused(no)
        seed = self._holdings.account
        shown = {"sid": seed.answers_as or self._account, "status": seed.status, "type": seed.type}
        return answered(200, {**shown, "friendly_name": "simulated", "owner_account_sid": self._account})

    async def every(self, request: Request) -> Response:
        """GET lists, by PhoneNumber if one is given."""
        if (no := self._guard.refusal(request)) is not None:
            return refused(no)
        query = dict(request.query_params)
        rows = [self._shown(number) for number in self._holdings.found(query.get("PhoneNumber", ""))]
        return answered(200, legacy_page("incoming_phone_numbers", request.url.path, rows, query))

    async def one(self, request: Request) -> Response:
        """GET reads, POST updates."""
        no = self._guard.refusal(request)
        found = no or self._holdings.numbers.get(request.path_params["sid"]) or rules.NOT_FOUND
        if isinstance(found, CreateRejection):
            return refused(found)
        if request.method == "POST":
            self._holdings.changes += 1
            for name, value in (await form(request)).items():
                if name in FIELDS:
                    setattr(found, FIELDS[name], value)
        return answered(200, self._shown(found))

    async def verifications(self, request: Request) -> Response:
        """GET lists, by TollfreePhoneNumberSid if one is given."""
        if (no := self._guard.refusal(request)) is not None:
            return refused(no)
        wanted = request.query_params.get("TollfreePhoneNumberSid", "")
        rows = [
            {
                "sid": f"HH{n:032}",
                "tollfree_phone_number_sid": sid,
                "status": v.status,
                "rejection_reason": v.rejection_reason,
            }
            for n, (sid, v) in enumerate(self._holdings.verifications.items())
            if wanted in ("", sid)
        ]
        return answered(200, page("verifications", str(request.url.replace(query="")), rows, request.query_params))

    def _shown(self, number: SimulatedNumber) -> dict[str, Any]:
        shown = {
            name: getattr(number, name) for name in SimulatedNumber.__struct_fields__ if name not in ("sms", "mms")
        }
        able = {"sms": number.sms, "mms": number.mms, "voice": True, "fax": False}
        uri = f"/2010-04-01/Accounts/{self._account}/IncomingPhoneNumbers/{number.sid}.json"
        return {**shown, "account_sid": self._account, "capabilities": able, "uri": uri}
