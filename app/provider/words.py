"""Vendor words end here: Twilio's statuses and error codes as the domain's progress and error classes.

Sources: the statuses of `message_enum_status` (twilio-oai); the codes in `data/twilio-error-policy.json`, made from
Twilio's error dictionary. A code that is not listed is `unknown`, never a crash: new ones appear without notice.
"""

import json
from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType

from app.domain.words import ErrorClass, Progress

PROGRESS: Mapping[str, Progress] = MappingProxyType(
    {
        "scheduled": Progress.ACCEPTED,
        "accepted": Progress.ACCEPTED,
        "queued": Progress.QUEUED,
        "sending": Progress.SENDING,
        "sent": Progress.SENT,
        "canceled": Progress.CANCELED,
        "failed": Progress.FAILED,
        "undelivered": Progress.UNDELIVERED,
        "delivered": Progress.DELIVERED,
        "partially_delivered": Progress.DELIVERED,
        "read": Progress.READ,
    }
)

_CLASSES: Mapping[str, ErrorClass] = MappingProxyType(
    {
        "opted-out": ErrorClass.OPTED_OUT,
        "permanent-number": ErrorClass.NUMBER_INVALID,
        "permanent-number-rcs": ErrorClass.NUMBER_INVALID,
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
        "suppress": ErrorClass.QUIET_HOURS,
        "expired": ErrorClass.EXPIRED,
    }
)
# Codes whose fault lies in this one recipient, though the cure is an operator's: the line must not stop for them.
# 21408: country not enabled; 21608: trial account, recipient not verified; 21703: no sender for this destination.
_BY_RECIPIENT = {21408, 21608, 21703}


# 4xx without a code of Twilio's: credentials, or an address or proxy that does not lead to Twilio's API.
_BY_SET_UP = {401, 403, 404, 405, 407}


def _load() -> Mapping[int, ErrorClass]:
    codes = json.loads((files("app.provider") / "data/twilio-error-policy.json").read_text())["codes"]
    table = {entry["code"]: _CLASSES.get(entry["class"], ErrorClass.UNKNOWN) for entry in codes}
    return MappingProxyType(table | dict.fromkeys(_BY_RECIPIENT, ErrorClass.SENDER_UNREACHABLE))


ERRORS: Mapping[int, ErrorClass] = _load()


def error_class(code: int | None, http_status: int = 0) -> ErrorClass:
    """The class of a code; without one, that of the HTTP status. 0: no HTTP status, the code came with a report."""
    if code is not None and code in ERRORS:
        return ERRORS[code]
    if http_status == 429:
        return ErrorClass.THROTTLED
    if http_status in _BY_SET_UP and code is None:
        return ErrorClass.CONFIGURATION
    return ErrorClass.UNKNOWN
