"""What a verified callback says, in our words: Twilio's field names end here.

Fields as documented under "Track outbound message status" and "Twilio's request to your webhook"; unknown ones are
ignored, for Twilio adds fields without notice.
"""

import re
from collections.abc import Mapping

import msgspec

from app.domain.model.vocabulary import DeliveryStatus, ErrorClass
from app.provider.error_enrichment import INVALID_AFTER, About, stamp_code
from app.provider.status_mapping import PROGRESS

MAX_MEDIA = 10
OPT_OUT_TYPES = frozenset({"STOP", "START", "HELP"})
MAX_ATTEMPT_DIGITS = 6
_SID = re.compile(r"(SM|MM)[0-9a-fA-F]{32}\Z")
_SERVICE = re.compile(r"MG[0-9a-fA-F]{32}\Z")
_DONE_DATE = re.compile(r"[0-9]{10,14}\Z")

Fields = Mapping[str, str]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A status callback. `message_id` and `attempt` are what our own StatusCallback query carried, unjudged."""

    message_id: str
    attempt: int
    sid: str
    progress: DeliveryStatus
    status: str
    code: int | None
    error: ErrorClass | None
    carrier_done: str
    invalid_after: int = 0
    hold_until_ms: int = 0


class InboundText(msgspec.Struct, frozen=True, kw_only=True):
    """An inbound text. `sender`, `to`: addresses with their channel prefix; `opt_out_type`: STOP, START, HELP or "";
    `service`: SID of the Messaging Service or ""."""

    sid: str
    sender: str
    to: str
    body: str
    media: tuple[str, ...]
    opt_out_type: str
    service: str

    def __repr__(self) -> str:
        return "<Text>"


class UnmatchedReport(msgspec.Struct, frozen=True):
    """A signed callback that names nothing we know: the field at fault, and the rule."""

    field: str
    rule: str


def read_report(
    fields: Fields, query: Mapping[str, str], at_ms: int = 0, invalid_after: Mapping[str, int] = INVALID_AFTER
) -> Report | UnmatchedReport:
    """A status callback and the query of its URL. `at_ms`: when it came, ms since the epoch; `invalid_after`: the
    tenant's, by code."""
    status = (fields.get("MessageStatus") or fields.get("SmsStatus", "")).lower()
    progress = PROGRESS.get(status)
    if progress is None:
        return UnmatchedReport("MessageStatus", "is not a status that we know")
    if (sid := _sid(fields)) is None:
        return UnmatchedReport("MessageSid", "is not a message SID")
    attempt = _number(query.get("a", ""))
    if not attempt:
        return UnmatchedReport("a", "is not the number of an attempt")
    code = _number(fields.get("ErrorCode", ""), 9) or None
    done = fields.get("RawDlrDoneDate", "")
    about = About(at_ms, fields.get("To", ""), fields.get("From", ""), invalid_after=invalid_after)
    stamped = stamp_code(code, about)
    return Report(
        message_id=query.get("m", ""),
        attempt=attempt,
        sid=sid,
        progress=progress,
        status=status,
        code=code,
        error=stamped.error,
        carrier_done=done if _DONE_DATE.match(done) else "",
        invalid_after=stamped.invalid_after,
        hold_until_ms=stamped.hold_until_ms,
    )


def read_text(fields: Fields) -> InboundText | UnmatchedReport:
    """An inbound text, from the inbound or the fallback webhook."""
    if (sid := _sid(fields)) is None:
        return UnmatchedReport("MessageSid", "is not a message SID")
    if not fields.get("From", "").strip():
        return UnmatchedReport("From", "is missing")
    kind, service = fields.get("OptOutType", "").strip().upper(), fields.get("MessagingServiceSid", "")
    return InboundText(
        sid=sid,
        sender=fields["From"],
        to=fields.get("To", ""),
        body=fields.get("Body", ""),
        media=tuple(fields[name] for n in range(MAX_MEDIA) if (name := f"MediaUrl{n}") in fields),
        opt_out_type=kind if kind in OPT_OUT_TYPES else "",
        service=service if _SERVICE.match(service) else "",
    )


def _sid(fields: Fields) -> str | None:
    sid = fields.get("MessageSid") or fields.get("SmsSid", "")
    return sid if _SID.match(sid) else None


def _number(text: str, digits: int = MAX_ATTEMPT_DIGITS) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= digits else None
