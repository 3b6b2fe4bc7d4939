"""What Twilio refuses at the create, by error code, before anything is taken."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

from app.simulator.recipient import OPTED_OUT, TO_ERRORS, from_error
from app.simulator.state import SimulatorState

MAX_BODY, MAX_MEDIA, MAX_URL = 1600, 10, 4000
CHANNELS = ("whatsapp", "rcs")
MAX_VALIDITY_S, MAX_AHEAD_S = 36_000, 35 * 86_400
SERVICE = re.compile("MG[0-9a-fA-F]{32}")


class CreateRejection(NamedTuple):
    """Twilio's error, answered with HTTP 400 unless `status` says otherwise."""

    code: int
    message: str
    status: int = 400

    def content(self) -> dict[str, object]:
        """The legacy form of Twilio's errors."""
        return {"code": self.code, "message": self.message, "more_info": self._page(), "status": self.status}

    def problem(self) -> dict[str, object]:
        """The form of newer services: problem+json (RFC 9457) with Twilio's code."""
        said = {"type": self._page(), "title": self.message, "detail": self.message}
        return {**said, "status": self.status, "code": self.code}

    def _page(self) -> str:
        return f"https://www.twilio.com/docs/errors/{self.code}"


UNAUTHORISED = CreateRejection(20003, "Authenticate", 401)
NOT_FOUND = CreateRejection(20404, "The requested resource was not found", 404)
NOT_ALLOWED = CreateRejection(20004, "Method not allowed", 405)
THROTTLED = CreateRejection(20429, "Too Many Requests", 429)
BROKEN = CreateRejection(20500, "An internal server error has occurred", 500)
UNAVAILABLE = CreateRejection(20503, "Service unavailable", 503)
NOT_ACTIVE = CreateRejection(20005, "Account not active", 403)
NOT_CANCELABLE = CreateRejection(30409, "This message cannot be canceled")
BAD_UPDATE = CreateRejection(30400, "Parameters are not valid")
NOT_COMPLETE = CreateRejection(20009, "Cannot delete this resource before it is complete", 409)
STOPPED = CreateRejection(OPTED_OUT, "Attempt to send to unsubscribed recipient")
FULL = CreateRejection(21611, "This 'From' number has exceeded the maximum number of queued messages")
KNOWN = {r.code: r for r in (UNAUTHORISED, NOT_FOUND, THROTTLED, BROKEN, UNAVAILABLE, STOPPED, FULL)}


class CreateForm(msgspec.Struct, frozen=True, kw_only=True):
    """A create call's form."""

    to: str
    body: str
    media: list[str]
    content_sid: str
    content_variables: str
    service: str
    sender: str
    fallback_from: str
    status_callback: str
    validity: str
    smart: str
    schedule: str
    send_at: str
    discard: bool
    obfuscate: bool

    @classmethod
    def read(cls, pairs: Sequence[tuple[str, str]]) -> "CreateForm":
        """From the form's fields; the last of a repeated name counts, MediaUrl apart."""
        form = dict(pairs)
        sender = form.get("From", "")
        # A service may be named by From, too (Twilio: error 35118).
        service = form.get("MessagingServiceSid") or (sender if sender.startswith("MG") else "")
        # Without a service Twilio drops the schedule and sends at once (Twilio: error 35111).
        schedule = form.get("ScheduleType", "") if service else ""
        return cls(
            to=form.get("To", ""),
            body=form.get("Body", ""),
            media=[value for name, value in pairs if name == "MediaUrl"],
            content_sid=form.get("ContentSid", ""),
            content_variables=form.get("ContentVariables", ""),
            service=service,
            sender="" if sender.startswith("MG") else sender,
            fallback_from=form.get("FallbackFrom", ""),
            status_callback=form.get("StatusCallback", ""),
            validity=form.get("ValidityPeriod", ""),
            smart=form.get("SmartEncoded", ""),
            schedule=schedule,
            send_at=form.get("SendAt", "") if schedule else "",
            discard=form.get("ContentRetention") == "discard",
            obfuscate=form.get("AddressRetention") == "obfuscate",
        )


def refusal(wish: CreateForm, state: SimulatorState, now: float) -> CreateRejection | None:
    """Why Twilio would not take this call; None if it would."""
    if state.holdings.account.status != "active":
        return NOT_ACTIVE
    return _form(wish) or _schedule(wish, now, state.config.schedule_min_s) or _numbers(wish, state, now)


def _form(wish: CreateForm) -> CreateRejection | None:
    if not wish.to:
        return CreateRejection(21604, "The destination 'To' phone number is required to send an SMS")
    if not (wish.body or wish.media or wish.content_sid):
        return CreateRejection(21602, "Message body is required")
    if len(wish.body) > MAX_BODY:
        return CreateRejection(21617, "The concatenated message body exceeds the 1600 character limit")
    if len(wish.media) > MAX_MEDIA:
        return CreateRejection(21623, "Number of media files exceeds allowed limit")
    if not all(url.startswith(("http://", "https://")) for url in wish.media):
        return CreateRejection(21620, "Invalid media URL(s)")
    if wish.validity and not (wish.validity.isdecimal() and 1 <= int(wish.validity[:9]) <= MAX_VALIDITY_S):
        return CreateRejection(21624, "Invalid validity period value")
    if wish.status_callback and not _address(wish.status_callback):
        return CreateRejection(21609, "Invalid 'StatusCallback'")
    return _rare(wish)


def _rare(wish: CreateForm) -> CreateRejection | None:
    if wish.content_variables and not wish.content_sid:
        return CreateRejection(21654, "ContentSid Required")
    if wish.fallback_from and not wish.service:
        return CreateRejection(21666, "'FallbackFrom' requires a 'MessagingServiceSid'")
    if wish.service and not SERVICE.fullmatch(wish.service):
        return CreateRejection(21705, "The Messaging Service is invalid")
    return None


def _address(url: str) -> bool:
    """A URL that Twilio would call back; addresses of this machine are fine here."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and "_" not in (parts.hostname or "_") and len(url) <= MAX_URL
    except ValueError:
        return False


def _schedule(wish: CreateForm, now: float, min_s: float) -> CreateRejection | None:
    if not wish.schedule:
        return None
    if wish.schedule != "fixed":
        return CreateRejection(35126, "The ScheduleType value provided is not supported for this channel")
    if not wish.send_at:
        return CreateRejection(35111, "SendAt timestamp is missing")
    at = send_at(wish)
    if at is None:
        return CreateRejection(35114, "Scheduling does not support this timestamp")
    if not min_s <= at - now <= MAX_AHEAD_S:
        return CreateRejection(35115, "SendAt is outside the supported scheduling window")
    return None


def send_at(wish: CreateForm) -> float | None:
    """Unix seconds; None without a schedule, or when it is no time in UTC."""
    try:
        at = datetime.fromisoformat(wish.send_at) if wish.send_at else None
    except ValueError:
        return None
    return at.timestamp() if at is not None and at.utcoffset() == timedelta() else None


def _numbers(wish: CreateForm, state: SimulatorState, now: float) -> CreateRejection | None:
    if not wish.service and not wish.sender:
        return CreateRejection(21603, "A 'From' or 'MessagingServiceSid' parameter is required to send a message")
    known = from_error(wish.sender) or TO_ERRORS.get(wish.to)
    if known is not None:
        return CreateRejection(*known)
    if (known := state.senders.fault(wish.service, wish.sender, wish.to, media=bool(wish.media))) is not None:
        return CreateRejection(*known)
    if not _possible(wish.to):
        return CreateRejection(*TO_ERRORS["+15005550001"])
    if code := state.strikes.refusal(wish.to):
        return KNOWN.get(code, CreateRejection(code, "Refused as scripted"))
    sender = sender_of(wish, state)
    if not (wish.service and state.config.advanced_opt_out) and state.blocked(wish.service, sender, wish.to):
        return STOPPED
    full = not wish.service and (state.strikes.strikes("overflow", wish.to) or state.full(sender, now))
    return FULL if full else None


def sender_of(wish: CreateForm, state: SimulatorState) -> str:
    """The number that it names, or that its service sends it from."""
    return wish.sender or state.sender_for(wish.service, wish.to, media=bool(wish.media))


def _possible(to: str) -> bool:
    """E.164, with or without a channel in front (whatsapp:+1415...)."""
    channel, colon, number = to.rpartition(":")
    digits = number.removeprefix("+")
    return (not colon or channel in CHANNELS) and number != digits and digits.isdecimal() and 7 <= len(digits) <= 15
