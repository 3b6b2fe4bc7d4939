"""Vendor words end here: Twilio's statuses and error codes as the domain's progress and error classes.

Sources: the statuses of `message_enum_status` (twilio-oai); the codes in `data/`, made from Twilio's error dictionary.
A code that is not listed is `unknown`, never a crash: new ones appear without notice.
"""

import json
from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from app.domain.model.vocabulary import DeliveryStatus, ErrorClass

PROGRESS: Mapping[str, DeliveryStatus] = MappingProxyType(
    {
        "scheduled": DeliveryStatus.ACCEPTED,
        "accepted": DeliveryStatus.ACCEPTED,
        "queued": DeliveryStatus.QUEUED,
        "sending": DeliveryStatus.SENDING,
        "sent": DeliveryStatus.SENT,
        "canceled": DeliveryStatus.CANCELED,
        "failed": DeliveryStatus.FAILED,
        "undelivered": DeliveryStatus.UNDELIVERED,
        "delivered": DeliveryStatus.DELIVERED,
        "partially_delivered": DeliveryStatus.DELIVERED,
        "read": DeliveryStatus.READ,
    }
)

_CLASSES: Mapping[str, ErrorClass] = MappingProxyType(
    {
        "opted-out": ErrorClass.OPTED_OUT,
        "permanent-number": ErrorClass.NUMBER_INVALID,
        "permanent-number-rcs": ErrorClass.SENDER_UNREACHABLE,
        "permanent-number-after-n": ErrorClass.NUMBER_UNREACHABLE,
        "transient-number": ErrorClass.NUMBER_UNREACHABLE,
        "permanent-number-for-sender": ErrorClass.SENDER_UNREACHABLE,
        "permanent-number-mms": ErrorClass.MMS_IMPOSSIBLE,
        "permanent-request": ErrorClass.REQUEST,
        "permanent-config": ErrorClass.CONFIGURATION,
        "throttled": ErrorClass.THROTTLED,
        "throttled-until-midnight-PT": ErrorClass.DAILY_CAP,
        "carrier-filtered": ErrorClass.FILTERED,
        "blocked": ErrorClass.FILTERED,
        "transient-retry": ErrorClass.TRANSIENT,
        "ambiguous": ErrorClass.AMBIGUOUS,
        "fraud-blocked": ErrorClass.FRAUD_BLOCK,
        "quiet-hours": ErrorClass.QUIET_HOURS,
        "suppress": ErrorClass.OPTED_OUT,
        "expired": ErrorClass.EXPIRED,
    }
)
# Codes whose fault lies in this one recipient, though the cure is an operator's: the line must not stop for them.
# 21408: country not enabled; 21608: trial account, recipient not verified; 21703: no sender for this destination;
# 30018: a carrier there wants the sender registered, and may deliver all the same; 30040, 30041: it does not;
# 572002: trial account, this recipient is texted from another number.
_BY_RECIPIENT = {21408, 21608, 21703, 30018, 30040, 30041, 572002}
# The media are at fault, and a text with a link goes through: too large (11751, 30019), not to be had, too many.
_BY_MEDIA = {11751, 21620, 21623, 30019}

LEAST_NO_CODE = 10**9
# 4xx without a code of Twilio's: credentials, or an address or proxy that does not lead to Twilio's API.
_BY_SET_UP = {401, 403, 404, 405, 407}


def entries() -> list[dict[str, Any]]:
    """Every code on our lists with its stage, class and Twilio's words: what decides most, and what is met seldom."""
    folder = files("app.provider") / "data"
    names = ("twilio-error-policy.json", "twilio-more-errors.json")
    return [entry for name in names for entry in json.loads((folder / name).read_text())["codes"]]


def _load() -> Mapping[int, ErrorClass]:
    table = {entry["code"]: _CLASSES.get(entry["class"], ErrorClass.UNKNOWN) for entry in entries()}
    table |= dict.fromkeys(_BY_RECIPIENT, ErrorClass.SENDER_UNREACHABLE)
    return MappingProxyType(table | dict.fromkeys(_BY_MEDIA, ErrorClass.MMS_IMPOSSIBLE))


ERRORS: Mapping[int, ErrorClass] = _load()


def code_of(given: int | None) -> int | None:
    """An error code that Twilio gave, None if it is none: codes have up to nine digits."""
    return given if given is not None and 0 < given < LEAST_NO_CODE else None


def error_class(code: int | None, http_status: int = 0) -> ErrorClass:
    """The class of a code; without one, that of the HTTP status. 0: no HTTP status, the code came with a report."""
    if code is not None and code in ERRORS:
        return ERRORS[code]
    if http_status == 429:
        return ErrorClass.THROTTLED
    if http_status in _BY_SET_UP and code is None:
        return ErrorClass.CONFIGURATION
    return ErrorClass.UNKNOWN
