"""Decisions on consent: texts from the person, and Twilio's word that they opted out."""

from app.domain.case import Case
from app.domain.events import ConsentChanged, TextReceived
from app.domain.evolve import opted_out_after
from app.domain.inputs import Texted
from app.domain.recalls import recall
from app.domain.verdicts import end
from app.domain.words import Answer, Intent, Progress, Provenance, Reason, Stage, Word


def texted(case: Case, record: Texted) -> None:
    """STOP closes and ends what has not left; START reopens; the text itself is told once per SID.

    One found on Twilio's list is nothing new if its webhook came.
    """
    if record.provenance is Provenance.RECONCILED and record.sid in case.contact.texts:
        return
    if record.intent in (Intent.STOP, Intent.START):
        source = "opt_out_type" if record.opt_out_type else "keyword"
        _change(case, record.intent, record.at, source, record.sid)
    if record.sid not in case.contact.texts:
        case.happen(TextReceived(sid=record.sid, intent=record.intent))


def learn_opt_out(case: Case, received_ms: int, sid: str) -> None:
    """Twilio refuses this person (21610, or 30004 on toll-free): as good as a STOP received then."""
    _change(case, Intent.STOP, received_ms, "twilio_21610", sid)


def _change(case: Case, intent: Intent, received_ms: int, source: str, sid: str) -> None:
    opted_out = opted_out_after(case.contact, intent, received_ms)
    case.happen(
        ConsentChanged(
            intent=intent,
            opted_out=opted_out,
            received_ms=received_ms,
            log_ms=case.place.log_ms,
            offset=case.place.offset,
            source=source,
            changed=opted_out != case.contact.consent.opted_out,
            sid=sid,
        )
    )
    if opted_out:
        _suppress(case)


def _suppress(case: Case) -> None:
    """What has not left ends here; a message whose earlier attempt may have been sent goes on as that attempt. What
    Twilio holds until its time is called back."""
    for message in tuple(case.contact.messages.values()):
        recall(case, message, Reason.OPTED_OUT)
        if message.stage in (Stage.FLYING, Stage.FINAL):
            continue
        last = message.attempts[-1] if message.attempts else None
        failed = last is not None and last.progress > Progress.CLAIMED and last.answer is not Answer.REFUSED
        end(case, message, Word.FAILED if failed else Word.SUPPRESSED, Reason.OPTED_OUT)
