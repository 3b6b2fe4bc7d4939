"""What each outcome word needs: by the ledger of creates, by the contact's log up to the outcome's cause, by the time.
Pure; the rules are those of the design, not the code of the fold.
"""

from collections.abc import Callable
from typing import Any

from ops.chaos.evidence import Record
from ops.chaos.view import Asked, Text, View, cause_of, contact_of, errors_of

Outcome = dict[str, Any]

# Classes of Twilio's codes that the simulator gives; and those that allow another attempt.
CLASSES = {
    30001: "throttled",
    30003: "number_unreachable",
    30005: "number_unreachable",
    30006: "number_invalid",
    30007: "filtered",
    30008: "unknown",
    30036: "expired",
    21610: "opted_out",
    20429: "throttled",
}
RETRIED = ("throttled", "transient", "expired")
# A deadline is a time of the worker's clock, a cause one of the broker's; both are this machine's, ms.
CLOCK_MS = 100


def unjustified(view: View, outcome: Outcome) -> str:
    """Why the outcome may not say what it says; "" if it may."""
    judge = _JUDGES.get(outcome["outcome"])
    if judge is None:
        return "is no word for an outcome"
    return judge(_Matter(view, outcome))


class _Matter:
    """One outcome, and what was known when it was given."""

    def __init__(self, view: View, outcome: Outcome) -> None:
        self.view, self.outcome = view, outcome
        self.message: str = outcome["message_id"]
        self.asked: Asked = view.asked[self.message]
        self.place = cause_of(outcome)[:2]
        self.known = view.until(self.message, self.place)
        cause = view.inputs.get(self.place)
        self.at_ms = cause.at_ms if cause else 0
        self.texts: list[Text] = view.texts.get(self.message, [])
        self.clock_ms = CLOCK_MS + _clock_ahead_ms(view, self.asked.at_ms, self.at_ms)

    def reported(self, *words: str) -> list[Text]:
        """Texts that Twilio's side gave such a status, as reports or its list had told by then."""
        told = {(record.value or {})["sid"] for record in self.known if _status(record) in words}
        listed = (text for record in self.known for text in (record.value or {}).get("texts", ()))
        told |= {text["sid"] for text in listed if text["status"] in words}
        return [text for text in self.texts if text.sid in told and any(word in words for word, _ in text.fates)]

    def arriving(self) -> list[Text]:
        """Texts that were taken by then, and that no report says have failed."""
        failed = {text.sid for text in self.reported("failed", "undelivered")}
        return [text for text in self.texts if text.at_ms <= self.at_ms and text.sid not in failed]

    def answers(self, answer: str) -> list[dict[str, Any]]:
        """Answers of this kind on the log by then."""
        answered = [record.value or {} for record in self.known if record.kind == "contact.answered.v1"]
        return [value for value in answered if value["answer"] == answer]


def _clock_ahead_ms(view: View, begin_ms: int, end_ms: int) -> int:
    """How far the clock of a worker was ahead at most between two times, ms: a timer that is armed then fires so much
    early, as it waits on the boot clock from then on."""
    steps = [*view.seen.told("clock_stepped")]
    ends = [*(step["at"] for step in steps[1:]), end_ms]
    met = (step["off_ms"] for step, end in zip(steps, ends, strict=False) if step["at"] <= end_ms and end >= begin_ms)
    return max(0, *met, 0)


def _status(record: Record) -> str:
    return str((record.value or {}).get("status", "")) if record.kind == "contact.reported.v1" else ""


def _delivered(matter: _Matter) -> str:
    if not matter.reported("delivered", "read"):
        return "no text of it was reported as delivered by then"
    return "" if matter.outcome["reason"] == "reported" else "is not why"


def _failed(matter: _Matter) -> str:
    if matter.reported("delivered", "read"):
        return "it was delivered"
    word, code = matter.outcome["outcome"], matter.outcome["error_code"]
    told = any((word, code or 0) in text.fates for text in matter.reported(word))
    # An answer that bears Twilio's own refusal, or none at all: a fault before the call.
    refused = word == "failed" and any(value.get("code") == code for value in matter.answers("refused"))
    if not told and not refused:
        return f"no text of it has {word} with code {code} by then"
    if matter.arriving():
        return "another text of it may still arrive"
    error, reason = CLASSES.get(code or 0, "unknown"), matter.outcome["reason"]
    if told and reason not in (error, _barred(matter)):
        return f"code {code} is {error}"
    return _given_up(matter) if error in RETRIED else ""


def _given_up(matter: _Matter) -> str:
    """Whether a failure that allows another attempt may be the end: attempts used up, no time left, or a bar."""
    last = max((attempt["attempt"] for attempt in matter.outcome["attempts"]), default=0)
    late = matter.at_ms + matter.view.seen.longest_retry_s * 1000 >= matter.asked.expires_ms
    if last > matter.view.seen.retries or late or _barred(matter):
        return ""
    return f"attempt {last} allows another one"


def _suppressed(matter: _Matter) -> str:
    if matter.arriving():
        return "a text of it may still arrive"
    return "" if _barred(matter) == matter.outcome["reason"] else "nothing on the log says so"


def _barred(matter: _Matter) -> str:
    """What forbade to text this person by then; "" if nothing did."""
    contact, offset = contact_of(matter.message), matter.place[1]
    consent = matter.view.consents.get(contact)
    if consent is not None and consent.closed_at(offset + 1):
        return "opted_out"
    told = [value for value in matter.view.numbers.get(contact, ()) if value["cause"]["offset"] <= offset]
    if told and told[-1]["state"] == "invalid":
        return "number_invalid"
    reports = (record for record in matter.view.logs.get(contact, ()) if record.offset <= offset)
    filtered = any("filtered" in errors_of(record) for record in reports)
    return "filtered" if filtered else ""


def _expired(matter: _Matter) -> str:
    if matter.at_ms + matter.clock_ms < matter.asked.expires_ms:
        return f"{matter.asked.expires_ms - matter.at_ms} ms before its time"
    return "a text of it may still arrive" if matter.arriving() else ""


def _closed(matter: _Matter, wanted: str) -> str:
    """Of the words that say that the time for reports is over."""
    until_ms = matter.asked.expires_ms + int(matter.view.seen.grace_s * 1000)
    if matter.outcome["revision"] == 1 and matter.at_ms + matter.clock_ms < until_ms:
        return f"{until_ms - matter.at_ms} ms before the time for reports is over"
    if matter.reported("delivered", "read"):
        return "it was delivered"
    return "" if matter.outcome["reason"] == wanted else "is not why"


def _unconfirmed(matter: _Matter) -> str:
    if not matter.arriving():
        return "no text of it may still arrive"
    return _closed(matter, "no_receipt")


def _in_doubt(matter: _Matter) -> str:
    attempts = [attempt for attempt in matter.outcome["attempts"] if attempt["answer"] in ("open", "doubtful")]
    if not attempts:
        return "no attempt of it is without an answer"
    return _closed(matter, "no_answer")


def _canceled(matter: _Matter) -> str:
    asked = any(entry["message_id"] == matter.message for entry in matter.view.seen.told("canceling"))
    kept = any(record.kind == "contact.cancel_requested.v1" for record in matter.known)
    return "" if asked and kept else "nobody canceled it"


def _rejected(matter: _Matter) -> str:
    promise = matter.view.promises.get(matter.asked.key, "")
    if matter.outcome["reason"] == "too_many_open":
        return "" if promise == "outcome" else "nobody asked for so much"
    return "" if promise in ("rejected", "answered") else "the request breaks no rule"


_JUDGES: dict[str, Callable[[_Matter], str]] = {
    "delivered": _delivered,
    "undelivered": _failed,
    "failed": _failed,
    "suppressed": _suppressed,
    "expired": _expired,
    "unconfirmed": _unconfirmed,
    "in_doubt": _in_doubt,
    "canceled": _canceled,
    "rejected": _rejected,
}
