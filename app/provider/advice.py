"""What each error class means for a message: what is done about it here, and what somebody else can do.

Held to the domain's sets (`domain.attempts`) by a test, so that the text cannot drift from the deed.
"""

import json
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any, NamedTuple

from app.domain.words import ErrorClass
from app.provider.words import ERRORS

E = ErrorClass


class Advice(NamedTuple):
    """`here`: what heliograph does; `yours`: what the caller or the operator can do."""

    here: str
    yours: str


ADVICE: Mapping[ErrorClass, Advice] = {
    E.OPTED_OUT: Advice(
        "the opt-out is recorded; outcome suppressed, here and for whatever waits for this contact",
        "nothing: only a START from this person opens the way again",
    ),
    E.NUMBER_INVALID: Advice("outcome failed; not sent again", "correct or remove the number"),
    E.NUMBER_UNREACHABLE: Advice("outcome undelivered; not sent again", "try later, or another channel"),
    E.SENDER_UNREACHABLE: Advice(
        "outcome failed; the lane goes on for other recipients",
        "enable the country, or give the tenant a sender that reaches this destination",
    ),
    E.MMS_IMPOSSIBLE: Advice("outcome failed or undelivered", "send it as a text with a link"),
    E.REQUEST: Advice("outcome failed; not sent again", "correct the request: its text, media or parameters"),
    E.CONFIGURATION: Advice(
        "a refused call waits and asks again until it expires, the lane is held for 60 s each time",
        "operator: mend credentials, sender or account; heliograph doctor checks the settings",
    ),
    E.THROTTLED: Advice(
        "it waits and asks again until it expires; the lane slows down (Retry-After is honoured)",
        "lower the lane's rate if it happens often",
    ),
    E.DAILY_CAP: Advice(
        "outcome failed or undelivered", "send less that day, or raise the brand's daily cap at Twilio"
    ),
    E.FILTERED: Advice(
        "outcome failed or undelivered; the same text is never sent again",
        "look at the text and the campaign it is registered under",
    ),
    E.TRANSIENT: Advice("a further attempt after 30 s and 120 s (retry_delays_s), while it may still go", "nothing"),
    E.AMBIGUOUS: Advice(
        "in doubt: it may have been sent, and is not sent again unless resend_after_s of the tenant says so",
        "heliograph explain MESSAGE_ID shows what is known",
    ),
    E.FRAUD_BLOCK: Advice(
        "a refused call waits and asks again until it expires, the lane is held for 15 min",
        "look for a form of yours that strangers use to make you send texts (SMS pumping)",
    ),
    E.QUIET_HOURS: Advice("outcome failed or undelivered", "send it within the hours allowed at the recipient's place"),
    E.EXPIRED: Advice("outcome failed or undelivered", "give it a later expires_at, if it is still of use"),
    E.SANDBOXED: Advice(
        "outcome rejected; Twilio is never asked",
        "a sandbox texts only those on the allow list of its tenant",
    ),
    E.UNKNOWN: Advice("outcome failed or undelivered; not sent again", "look it up: twilio.com/docs/api/errors"),
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
    """Code, meaning (Twilio's words where known), where it is met, class, here, yours. None: on no list of ours."""
    return next((row for row in every() if row["code"] == code), None)


def every() -> Iterator[dict[str, Any]]:
    """All codes of the table, in order."""
    table = json.loads((files("app.provider") / "data/twilio-error-policy.json").read_text())["codes"]
    for entry in sorted(table, key=lambda entry: entry["code"]):
        yield _row(entry)


def _row(entry: Mapping[str, Any]) -> dict[str, Any]:
    kind = ERRORS[entry["code"]]
    about_text = entry["stage"] in ("C", "D", "C/D")
    advice = ADVICE[kind] if about_text else Advice("nothing: no message of ours ends by it", entry["action"])
    return {
        "code": entry["code"],
        "meaning": entry["twilio_message_2023"] or entry["action"],
        "met": STAGES[entry["stage"]],
        "class": kind.value if about_text else "",
        "here": advice.here,
        "yours": advice.yours,
        "url": f"https://www.twilio.com/docs/api/errors/{entry['code']}",
    }
