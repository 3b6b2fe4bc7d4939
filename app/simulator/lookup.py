"""Lookup v2: GET /v2/PhoneNumbers/{number}, the basic answer and, with Fields, the type of the line.

Twilio has it on a host of its own (lookups.twilio.com), which the SDK calls `client.lookups`.
"""

from typing import Any

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberFormat, ValidationResult
from starlette.requests import Request
from starlette.responses import Response

from app.simulator import rules
from app.simulator.account_access import AccountAccess
from app.simulator.api import MessagesApi, answered, hold
from app.simulator.faults import LOOKUP_FAULTS
from app.simulator.line_types import intelligence
from app.simulator.state import SimulatorState

PACKAGE = "line_type_intelligence"
# Twilio's other packages: known, never told.
OTHERS = (
    "caller_name",
    "sim_swap",
    "call_forwarding",
    "line_status",
    "identity_match",
    "reassigned_number",
    "sms_pumping_risk",
    "phone_number_quality_score",
    "pre_fill",
)
WRONG = {
    ValidationResult.IS_POSSIBLE_LOCAL_ONLY: "TOO_SHORT",
    ValidationResult.TOO_SHORT: "TOO_SHORT",
    ValidationResult.TOO_LONG: "TOO_LONG",
    ValidationResult.INVALID_COUNTRY_CODE: "INVALID_COUNTRY_CODE",
    ValidationResult.INVALID_LENGTH: "INVALID_LENGTH",
}
UNREADABLE = {
    NumberParseException.INVALID_COUNTRY_CODE: "INVALID_COUNTRY_CODE",
    NumberParseException.TOO_SHORT_AFTER_IDD: "TOO_SHORT",
    NumberParseException.TOO_SHORT_NSN: "TOO_SHORT",
    NumberParseException.TOO_LONG: "TOO_LONG",
}


class LookupApi:
    """The handler. Counts `lookups`, and `lookups_billed`: those that told a line type (the basic answer is free)."""

    def __init__(self, state: SimulatorState, api: MessagesApi, guard: AccountAccess) -> None:
        self._state, self._api, self._guard = state, api, guard

    async def fetch(self, request: Request) -> Response:
        """GET one number, in E.164 or with CountryCode."""
        self._state.counts["lookups"] += 1
        if (no := self._guard.refusal(request)) is not None:
            return self._api.refused(no)
        given, query = request.path_params["number"], request.query_params
        basic = read(given, query.get("CountryCode") or "US")
        number = basic["phone_number"]
        fault = next((name for name in LOOKUP_FAULTS if self._state.strikes.strikes(name, number)), "")
        if fault:
            return await self._unlucky(request, fault)
        wanted = basic["valid"] and PACKAGE in query.get("Fields", "").split(",")
        packages = {**dict.fromkeys(OTHERS), PACKAGE: self._line(number) if wanted else None}
        return answered(200, {**basic, **packages, "url": str(request.url.replace(query=""))})

    async def _unlucky(self, request: Request, fault: str) -> Response:
        if fault == "lookup_throttle":
            return self._api.throttled()
        if fault == "lookup_timeout":
            await hold(request, self._state.strikes.faults.hold_ms / 1000)
        return self._api.refused(rules.UNAVAILABLE if fault == "lookup_503" else rules.BROKEN)

    def _line(self, number: str) -> dict[str, object]:
        told = intelligence(self._state.line_of(number))
        self._state.counts["lookups_billed"] += told["type"] is not None
        return told


def read(given: str, country: str) -> dict[str, Any]:
    """The basic answer: a number in E.164, or as it is dialled in a country. 555-01xx is a number like any other."""
    try:
        number = phonenumbers.parse(given, country)
    except NumberParseException as bad:
        return _invalid(given, UNREADABLE.get(bad.error_type, "NOT_A_NUMBER"))
    wrong = WRONG.get(phonenumbers.is_possible_number_with_reason(number))
    return _invalid(given, wrong) if wrong else _valid(number)


def _invalid(given: str, wrong: str) -> dict[str, Any]:
    unknown = dict.fromkeys(("calling_country_code", "country_code", "national_format"))
    return {**unknown, "phone_number": given, "valid": False, "validation_errors": [wrong]}


def _valid(number: PhoneNumber) -> dict[str, Any]:
    code = number.country_code or 0
    return {
        "calling_country_code": str(code),
        "country_code": phonenumbers.region_code_for_number(number) or phonenumbers.region_code_for_country_code(code),
        "national_format": phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL),
        "phone_number": phonenumbers.format_number(number, PhoneNumberFormat.E164),
        "valid": True,
        "validation_errors": [],
    }
