"""Rows as a person or a program may see them: masked, nothing sealed, nothing of a producer's own words."""

from collections.abc import Iterator
from typing import Any

import msgspec

from app import clock
from app.domain.model.contact import Attempt, Consent, Contact, Message, NumberHealth

_contact = msgspec.json.Decoder(Contact).decode
_message = msgspec.json.Decoder(Message).decode
View = dict[str, Any]


def contact_view(contact_id: str, partition: int, row: bytes) -> View:
    """One row of table contacts."""
    contact = _contact(row)
    return {
        "table": "contacts",
        "contact_id": contact_id,
        "tenant": contact.tenant,
        "partition": partition,
        "watermark": contact.watermark,
        "as_of": _iso(contact.touched_ms),
        "consent": _consent(contact.consent),
        "number": _number(contact.number),
        "filtered_texts": len(contact.filtered),
        "frozen": contact.frozen or None,
        "messages": [_told(message) for message in contact.messages.values()],
    }


def message_view(partition: int, row: bytes) -> View:
    """One row of table messages."""
    message = _message(row)
    return {"table": "messages", "partition": partition, "watermark": message.watermark, **_told(message)}


def _consent(consent: Consent) -> View:
    """`stopped` and `started`: the last STOP and START; `evidence`: the input that decided what is so."""
    return {
        "state": "opted_out" if consent.opted_out else "opted_in",
        "source": consent.source or None,
        "evidence": consent.evidence or None,
        "stopped_received_at": _iso(consent.stopped_received_ms),
        "stopped_logged_at": _iso(consent.stopped_log_ms),
        "stopped_offset": consent.stopped_offset if consent.stopped_offset >= 0 else None,
        "started_received_at": _iso(consent.started_received_ms),
    }


def _number(number: NumberHealth) -> View:
    """`reason`: why it counts as invalid; `failures`: messages that did not reach it, none since that did."""
    return {
        "state": "valid" if number.why is None else "invalid",
        "reason": number.why.value if number.why else None,
        "since": _iso(number.since_ms),
        "error_code": number.code,
        "failures": len(number.failures),
    }


def _told(message: Message) -> View:
    return {
        "message_id": message.id,
        "recipient": message.masked,
        "stage": message.stage.value,
        "outcome": message.word.value if message.word else None,
        "reason": message.reason.value if message.reason else None,
        "revision": message.revision,
        "logged_at": _iso(message.logged_ms),
        "final_at": _iso(message.final_ms),
        "attempts": [_attempt(attempt) for attempt in message.attempts],
        "attempts_dropped": message.attempts_dropped,
    }


def _attempt(attempt: Attempt) -> View:
    return {
        "attempt": attempt.n,
        "answer": attempt.answer.value,
        "progress": attempt.progress.name.lower(),
        "message_sid": attempt.sid or None,
        "error_code": attempt.code,
        "without_media": attempt.plain,
        "in_doubt": attempt.doubtful,
        "claimed_at": _iso(attempt.claimed_ms),
    }


def _iso(at_ms: int) -> str | None:
    return clock.iso(at_ms) if at_ms > 0 else None


def lines(view: View) -> Iterator[str]:
    """A row as text."""
    if view["table"] == "messages":
        yield f"  {_message_line(view)}  (table messages)"
        return
    frozen = f"  FROZEN: {view['frozen']}" if view["frozen"] else ""
    yield f"{view['contact_id']}  tenant {view['tenant']}  as of {view['as_of']} (offset {view['watermark']}){frozen}"
    yield f"  consent: {_consent_line(view['consent'])}"
    if view["number"]["reason"]:
        yield f"  number: invalid since {view['number']['since']} ({view['number']['reason']})"
    for message in view["messages"]:
        yield f"  {_message_line(message)}"


def _consent_line(consent: View) -> str:
    if consent["evidence"] is None:
        return "opted in; no STOP is on the log"
    words = consent["state"].replace("_", " ")
    times = [f"last {name} received {at}" for name, at in _received(consent) if at]
    return f"{words}, by {consent['evidence']}; {', '.join(times)}"


def _received(consent: View) -> list[tuple[str, str | None]]:
    return [("STOP", consent["stopped_received_at"]), ("START", consent["started_received_at"])]


def _message_line(message: View) -> str:
    ended = f"{message['outcome']} ({message['reason']})" if message["outcome"] else message["stage"]
    last = message["attempts"][-1] if message["attempts"] else None
    tried = f", attempt {last['attempt']} {last['progress']}" if last else ""
    return f"{message['message_id']}  {message['recipient']}  {ended}{tried}"
