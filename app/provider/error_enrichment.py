"""What the door stamps on a refusal or failure, besides its class: all that needs a table, a clock or a time zone.

The fold reads no clock and knows no code, so that a replay decides the same (interpretation at the door).
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple
from zoneinfo import ZoneInfo

from app.domain.model.vocabulary import ErrorClass
from app.provider.status_mapping import error_class

# The carriers' daily caps end at midnight in California (Twilio 30023, 30027).
PACIFIC = ZoneInfo("America/Los_Angeles")
# Quiet hours of the states end at 8 or 9, on Sundays in Texas at 12; the latest hurts least.
MORNING, SUNDAY_MORNING, SUNDAY = time(9), time(12), 6
# So many messages that end so make a number invalid, unless the tenant says otherwise: a handset that is off (30003),
# a number that is not known (30005).
INVALID_AFTER: Mapping[str, int] = MappingProxyType({"30003": 5, "30005": 3})
NOT_MOBILE, BLOCKED = 21614, 30004
_TOLL_FREE = re.compile(r"\+?18(00|33|44|55|66|77|88)[0-9]{7}\Z")


class ErrorEnrichment(NamedTuple):
    """`invalid_after`: so many such failures make the number invalid, 0: it says nothing of it; `hold_until_ms`: no
    further attempt before, 0: as the class says."""

    error: ErrorClass | None = None
    invalid_after: int = 0
    hold_until_ms: int = 0


NOTHING = ErrorEnrichment()


class About(NamedTuple):
    """The attempt: when it was told (ms since the epoch), the person's address, our sender, whether it had media; and
    how often its tenant lets codes come before a number is invalid."""

    at_ms: int
    to: str = ""
    sender: str = ""
    media: bool = False
    invalid_after: Mapping[str, int] = INVALID_AFTER


def stamp(code: int | None, error: ErrorClass | None, about: About) -> ErrorEnrichment:
    """From what the code alone says to what it says of this attempt."""
    error = _refined(code, error, about)
    if error is ErrorClass.NUMBER_INVALID:
        return ErrorEnrichment(error, 1)
    if error is ErrorClass.DAILY_CAP:
        return ErrorEnrichment(error, hold_until_ms=_ms(_next_day(about.at_ms, PACIFIC), time(0), PACIFIC))
    if error is ErrorClass.QUIET_HOURS:
        return ErrorEnrichment(error, hold_until_ms=_morning(about))
    name = str(code)
    return ErrorEnrichment(error, about.invalid_after.get(name, INVALID_AFTER.get(name, 0)))


def stamp_code(code: int | None, about: About) -> ErrorEnrichment:
    """Of a code that came with a report, None without one."""
    return NOTHING if code is None else stamp(code, error_class(code), about)


def _refined(code: int | None, error: ErrorClass | None, about: About) -> ErrorClass | None:
    """A landline may refuse a picture where it takes a text; on toll-free numbers the network tells of a STOP so."""
    if code == NOT_MOBILE and about.media:
        return ErrorClass.MMS_IMPOSSIBLE
    if code == BLOCKED and _TOLL_FREE.match(about.sender):
        return ErrorClass.OPTED_OUT
    return error


def _next_day(at_ms: int, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone) + timedelta(days=1)


def _ms(day: datetime, at: time, zone: ZoneInfo) -> int:
    return int(datetime.combine(day.date(), at, zone).timestamp() * 1000)


def _morning(about: About) -> int:
    """The next morning at the person's place; of several places that the number may be at, the latest."""
    return max(_morning_at(about.at_ms, ZoneInfo(name)) for name in _zones(about.to))


def _morning_at(at_ms: int, zone: ZoneInfo) -> int:
    today = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone)
    days = (today, today + timedelta(days=1))
    mornings = (_ms(day, SUNDAY_MORNING if day.weekday() == SUNDAY else MORNING, zone) for day in days)
    return next(ms for ms in mornings if ms > at_ms)


@lru_cache(maxsize=1 << 12)
def _zones(to: str) -> tuple[str, ...]:
    import phonenumbers
    from phonenumbers.timezone import UNKNOWN_TIMEZONE, time_zones_for_number

    try:
        names = time_zones_for_number(phonenumbers.parse(to))
    except phonenumbers.NumberParseException:
        names = ()
    return tuple(name for name in names if name != UNKNOWN_TIMEZONE) or (PACIFIC.key,)
