"""Decisions on consent: a STOP or START, and Twilio's word that they opted out."""

from app.domain.handlers.scheduled_cancel import recall
from app.domain.model.consent_texts import (
    ConsentTextRedated,
    consent_after,
    is_closed,
    is_doubtful,
    remembers,
    with_text,
)
from app.domain.model.contact import Consent, ConsentText
from app.domain.model.events import ConsentChanged
from app.domain.model.inputs import TextArrived
from app.domain.model.vocabulary import Intent, Provenance, Reason
from app.domain.rules.attempt_evaluation import suppress
from app.domain.rules.decision_context import DecisionContext


def learn_opt_out(case: DecisionContext, received_ms: int, sid: str, code: int | None, but: str) -> None:
    """Twilio refuses this person (21610, 30004 on toll-free, 30640): as good as a STOP received then."""
    _change(case, ConsentText(sid, Intent.STOP, received_ms), f"twilio_{code or 21610}", but)


def learn_consent_text(case: DecisionContext, record: TextArrived) -> None:
    """A STOP or START from the person. A repeat can only show that the text was received earlier than was known."""
    consent, text = case.contact.consent, ConsentText(record.sid, record.intent, record.at)
    if is_doubtful(consent, text, record.provenance) or _was_read_otherwise(case, record):
        return
    source = "opt_out_type" if record.opt_out_type else "keyword"
    if not remembers(consent, text.sid) or opted_out_after(consent, text, source) != consent.opted_out:
        _change(case, text, source)
    elif with_text(consent, text) != consent:
        case.record(ConsentTextRedated(text=text))


def _was_read_otherwise(case: DecisionContext, record: TextArrived) -> bool:
    """Whether the webhook of a text found on Twilio's list was read as neither STOP nor START; the list has no
    OptOutType, so the webhook is right. A START in doubt did not count either, and may count now."""
    consent, found = case.contact.consent, record.provenance is Provenance.RECONCILED
    uncounted = record.sid in case.contact.texts and not remembers(consent, record.sid)
    return found and uncounted and not (record.intent is Intent.START and consent.started_forgotten_ms)


def opted_out_after(consent: Consent, stop_or_start: ConsentText, source: str) -> bool:
    """Whether the person is opted out after one more STOP or START: only the times of receipt decide."""
    return is_closed(consent_after(consent, stop_or_start, source))


def _change(case: DecisionContext, stop_or_start: ConsentText, source: str, but: str = "") -> None:
    """`source`: see `records.consent`; `but`: see `suppress`."""
    opted_out = opted_out_after(case.contact.consent, stop_or_start, source)
    case.record(
        ConsentChanged(
            intent=stop_or_start.intent,
            opted_out=opted_out,
            received_ms=stop_or_start.received_ms,
            log_ms=case.place.log_ms,
            offset=case.place.offset,
            source=source,
            changed=opted_out != case.contact.consent.opted_out,
            sid=stop_or_start.sid,
        )
    )
    if opted_out:
        for message in tuple(case.contact.messages.values()):
            recall(case, message, Reason.OPTED_OUT)
        suppress(case, but)
