"""Decisions on consent: a STOP or START, and Twilio's word that they opted out."""

from app.domain.case import Case
from app.domain.events import ConsentChanged
from app.domain.evolve import opted_out_after
from app.domain.recalls import recall
from app.domain.verdicts import suppress
from app.domain.words import Intent, Reason


def learn_opt_out(case: Case, received_ms: int, sid: str, code: int | None, but: str) -> None:
    """Twilio refuses this person (21610, 30004 on toll-free, 30640): as good as a STOP received then."""
    change(case, Intent.STOP, received_ms, f"twilio_{code or 21610}", sid, but)


def change(case: Case, intent: Intent, received_ms: int, source: str, sid: str, but: str = "") -> None:
    """Consent after one more STOP or START, told by `source` (see `records.consent`). `but`: see `suppress`."""
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
        for message in tuple(case.contact.messages.values()):
            recall(case, message, Reason.OPTED_OUT)
        suppress(case, but)
