"""What each error class means for a message: what is done about it here, and what somebody else can do.

Held to what the fold does by a test, so that the text cannot drift from the deed.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from app.domain.model.vocabulary import ErrorClass
from app.provider.status_mapping import ERRORS, entries

E = ErrorClass
URL = "https://www.twilio.com/docs/api/errors"


class Advice(NamedTuple):
    """`here`: what heliograph does; `yours`: what the caller or the operator can do."""

    here: str
    yours: str


ADVICE: Mapping[ErrorClass, Advice] = {
    E.OPTED_OUT: Advice(
        "the opt-out is recorded (notify.consent); outcome suppressed, or failed if a report told it, and suppressed "
        "for whatever waits for this contact or is asked for later",
        "nothing: only a START from this person opens the way again",
    ),
    E.NUMBER_INVALID: Advice(
        "outcome failed or undelivered; the number is recorded as invalid (notify.number_changed.v1), messages to it "
        "are suppressed until it texts or something is delivered to it",
        "correct or remove the number",
    ),
    E.NUMBER_UNREACHABLE: Advice(
        "outcome undelivered; not sent again. So many messages within 30 days, with no delivery and no text from the "
        "person between, and the number is recorded as invalid: 5 for 30003, 3 for 30005, unless invalid_after of the "
        "tenant says otherwise",
        "try later, or another channel",
    ),
    E.SENDER_UNREACHABLE: Advice(
        "outcome failed or undelivered; the lane goes on for other recipients",
        "enable the country, or give the tenant a sender that reaches this destination; heliograph twilio check and "
        "heliograph twilio numbers list show what there is",
    ),
    E.MMS_IMPOSSIBLE: Advice(
        "a further attempt at once, as a text with the request's media_fallback for a link; without one the outcome is "
        "failed or undelivered",
        "give requests with media a media_fallback: an https link that anybody may open",
    ),
    E.REQUEST: Advice(
        "outcome failed or undelivered; not sent again; a dead letter of field code names message and code",
        "correct the request: its text, media or parameters",
    ),
    E.CONFIGURATION: Advice(
        "the lane stops and probes with one message after 60 s, then ever more seldom (up to 15 min), until one comes "
        "through; its messages wait, with a further attempt when it goes on, until they expire",
        "heliograph twilio check finds what is wrong with credentials, sender or account; mend it "
        "(ops/runbooks/refused-by-configuration.md)",
    ),
    E.THROTTLED: Advice(
        "a further attempt: it waits and asks again until it expires, after a report as often as retry_delays_s says; "
        "the lane slows down (Retry-After is honoured)",
        "lower the lane's rate if it happens often",
    ),
    E.DAILY_CAP: Advice(
        "held until midnight in California, then a further attempt; outcome failed or undelivered if it expires before",
        "send less that day, or raise the brand's daily cap at Twilio",
    ),
    E.FILTERED: Advice(
        "outcome failed or undelivered; the same text is never sent again to this person (suppressed: filtered)",
        "look at the text and the campaign it is registered under (heliograph twilio check shows its standing)",
    ),
    E.TRANSIENT: Advice(
        "a further attempt after 30 s and 120 s (retry_delays_s); a call that was refused waits and asks again until "
        "it expires",
        "nothing",
    ),
    E.AMBIGUOUS: Advice(
        "a call without a sure answer is in doubt: it may have been sent, and is not sent again unless resend_after_s "
        "of the tenant says so; a report of failure ends the message",
        "heliograph doubts lists what is in doubt, heliograph explain MESSAGE_ID shows what is known",
    ),
    E.FRAUD_BLOCK: Advice(
        "one further attempt after 30 min; the lane goes on for other recipients",
        "look for a form of yours that strangers use to make you send texts (SMS pumping)",
    ),
    E.QUIET_HOURS: Advice(
        "held until the next morning at the recipient's place (9:00, Sundays 12:00), then a further attempt; outcome "
        "failed or undelivered if it expires before",
        "send it within the hours allowed there",
    ),
    E.EXPIRED: Advice(
        "a further attempt while it may still go (retry_delays_s), else outcome failed or undelivered",
        "give it a later expires_at, if it is still of use",
    ),
    E.SANDBOXED: Advice(
        "outcome rejected; Twilio is never asked",
        "a sandbox texts only those on the allow list of its tenant",
    ),
    E.UNKNOWN: Advice("outcome failed or undelivered; not sent again", "look it up: twilio.com/docs/api/errors"),
}
# What one code means beside its class.
NOTES: Mapping[int, str] = {
    20404: "; of a look-up (heliograph twilio messages fetch) it says no more than that there is no such thing",
    21614: "; of a call with media it says that media cannot be received: as 30011",
    30004: "; from a toll-free number it is an opt-out, told by the network",
}
# By the stage of the table: where a code is met.
STAGES: Mapping[str, str] = {
    "C": "answer to the create call",
    "D": "status report",
    "C/D": "answer to the create call, or status report",
    "W": "Twilio's log about our webhooks",
    "I": "inbound text",
    "-": "Twilio's log, a warning",
}


def explained(code: int) -> dict[str, Any] | None:
    """Code, meaning (in Twilio's words or ours), where it is met, class, here, yours. None: on no list of ours."""
    return next((row for row in every() if row["code"] == code), None)


def unlisted(code: int) -> dict[str, Any]:
    """The same of a code on no list of ours: what becomes of a message that meets it all the same."""
    here, _ = ADVICE[E.UNKNOWN]
    return {
        "code": code,
        "meaning": "not known here: on no list",
        "met": "",
        "class": E.UNKNOWN.value,
        "here": f"{here} (of a create call: with HTTP 429 it counts as throttled, with 5xx the call is in doubt)",
        "yours": "look it up",
        "url": f"{URL}/{code}",
    }


def classes() -> list[str]:
    """The classes that codes of the tables have."""
    return sorted({row["class"] for row in every()} - {""})


def every() -> Iterator[dict[str, Any]]:
    """All codes of the tables, in order."""
    for entry in sorted(entries(), key=lambda entry: entry["code"]):
        yield _row(entry)


def _row(entry: Mapping[str, Any]) -> dict[str, Any]:
    kind = ERRORS[entry["code"]]
    about_text = entry["stage"] in ("C", "D", "C/D")
    advice = ADVICE[kind] if about_text else Advice("nothing: no message of ours ends by it", entry["action"])
    return {
        "code": entry["code"],
        "meaning": entry["twilio_message_2023"] or entry["meaning"],
        "met": STAGES[entry["stage"]],
        "class": kind.value if about_text else "",
        "here": advice.here + NOTES.get(entry["code"], ""),
        "yours": advice.yours,
        "url": f"{URL}/{entry['code']}",
    }
