"""What Twilio refuses at the create, by error code, before anything is taken."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

from app.simulator.person import OPTED_OUT, TO_ERRORS, from_error
from app.simulator.state import State

MAX_BODY, MAX_MEDIA, MAX_URL = 1600, 10, 4000
CHANNELS = ("whatsapp", "rcs")
MAX_VALIDITY_S, MAX_AHEAD_S = 36_000, 35 * 86_400


class Refusal(NamedTuple):
    """Twilio's error, answered with HTTP 400 unless `status` says otherwise."""

    code: int
    message: str
    status: int = 400

    def content(self) -> dict[str, object]:
        """The legacy form of Twilio's errors."""
        more = f"https://www.twilio.com/docs/errors/{self.code}"
        return {"code": self.code, "message": self.message, "more_info": more, "status": self.status}


UNAUTHORISED = Refusal(20003, "Authenticate", 401)
NOT_FOUND = Refusal(20404, "The requested resource was not found", 404)
THROTTLED = Refusal(20429, "Too Many Requests", 429)
BROKEN = Refusal(20500, "An internal server error has occurred", 500)
NOT_CANCELABLE = Refusal(30409, "This message cannot be canceled")
FULL = Refusal(21611, "This 'From' number has exceeded the maximum number of queued messages")


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """A create call's form."""

    to: str
    body: str
    media: list[str]
    content_sid: str
    service: str
    sender: str
    status_callback: str
    validity: str
    send_at: str

    @classmethod
    def read(cls, pairs: Sequence[tuple[str, str]]) -> "Wish":
        """From the form's fields; the last of a repeated name counts, MediaUrl apart."""
        form = dict(pairs)
        scheduled = form.get("ScheduleType") == "fixed" and form.get("MessagingServiceSid")
        return cls(
            to=form.get("To", ""),
            body=form.get("Body", ""),
            media=[value for name, value in pairs if name == "MediaUrl"],
            content_sid=form.get("ContentSid", ""),
            service=form.get("MessagingServiceSid", ""),
            sender=form.get("From", ""),
            status_callback=form.get("StatusCallback", ""),
            validity=form.get("ValidityPeriod", ""),
            # Without a service Twilio drops the schedule and sends at once.
            send_at=form.get("SendAt", "") if scheduled else "",
        )


def refusal(wish: Wish, state: State, now: float) -> Refusal | None:
    """Why Twilio would not take this call; None if it would."""
    return _form(wish) or _schedule(wish, now, state.config.schedule_min_s) or _numbers(wish, state)


def _form(wish: Wish) -> Refusal | None:
    if not wish.to:
        return Refusal(21604, "The destination 'To' phone number is required to send an SMS")
    if not (wish.body or wish.media or wish.content_sid):
        return Refusal(21602, "Message body is required")
    if len(wish.body) > MAX_BODY:
        return Refusal(21617, "The concatenated message body exceeds the 1600 character limit")
    if len(wish.media) > MAX_MEDIA:
        return Refusal(21623, "Number of media files exceeds allowed limit")
    if not all(url.startswith(("http://", "https://")) for url in wish.media):
        return Refusal(21620, "Invalid media URL(s)")
    if wish.validity and not (wish.validity.isdigit() and 1 <= int(wish.validity) <= MAX_VALIDITY_S):
        return Refusal(21624, "Invalid validity period value")
    if wish.status_callback and not _address(wish.status_callback):
        return Refusal(21609, "Invalid 'StatusCallback'")
    return None


def _address(url: str) -> bool:
    """A URL that Twilio would call back; addresses of this machine are fine here."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and "_" not in (parts.hostname or "_") and len(url) <= MAX_URL
    except ValueError:
        return False


def _schedule(wish: Wish, now: float, min_s: float) -> Refusal | None:
    if not wish.send_at:
        return None
    at = send_at(wish)
    if at is None:
        return Refusal(35114, "Scheduling does not support this timestamp")
    if not min_s <= at - now <= MAX_AHEAD_S:
        return Refusal(35115, "SendAt is outside the supported scheduling window")
    return None


def send_at(wish: Wish) -> float | None:
    """Unix seconds; None without a schedule or when it cannot be read."""
    try:
        at = datetime.fromisoformat(wish.send_at) if wish.send_at else None
    except ValueError:
        return None
    return at.timestamp() if at is not None and at.tzinfo is not None else None


def _numbers(wish: Wish, state: State) -> Refusal | None:
    if not wish.service and not wish.sender:
        return Refusal(21603, "A 'From' or 'MessagingServiceSid' parameter is required to send a message")
    known = from_error(wish.sender) or TO_ERRORS.get(wish.to)
    if known is not None:
        return Refusal(*known)
    if not _possible(wish.to):
        return Refusal(*TO_ERRORS["+15005550001"])
    if state.blocked(wish.service or wish.sender, wish.to) and not (state.config.advanced_opt_out and wish.service):
        return Refusal(OPTED_OUT, "Attempt to send to unsubscribed recipient")
    if not wish.service and state.strikes.strikes("overflow", wish.to):
        return FULL
    return None


def _possible(to: str) -> bool:
    """E.164, with or without a channel in front (whatsapp:+1415...)."""
    channel, colon, number = to.rpartition(":")
    digits = number.removeprefix("+")
    return (not colon or channel in CHANNELS) and number != digits and digits.isdecimal() and 7 <= len(digits) <= 15
