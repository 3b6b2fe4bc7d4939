"""The audit of a change of consent: what it is now, and by which text or message it was learnt."""

from app.clock import iso
from app.domain.fold import Folded
from app.domain.model.events import ConsentChanged
from app.domain.model.inputs import Input as ContactInput
from app.domain.model.inputs import TextArrived
from app.records.consent import NotifyConsentChanged
from app.records.envelope import Cause
from app.streams.engine.agent import Input


def consent_record(
    record: Input, contact_id: str, parsed: ContactInput, folded: Folded, event: ConsentChanged, cause: Cause
) -> NotifyConsentChanged:
    """As everything that is told: from rows, input and place alone."""
    told_by = getattr(parsed, "message_id", "")
    message = folded.find(told_by.partition("-")[2])
    shown = parsed if isinstance(parsed, TextArrived) else message
    return NotifyConsentChanged(
        id=f"{contact_id}@{record.partition}-{record.offset}",
        at=iso(record.at_ms),
        tenant=parsed.tenant,
        contact_id=contact_id,
        state="opted_out" if event.opted_out else "opted_in",
        source=event.source,
        changed=event.changed,
        received_at=iso(event.received_ms),
        logged_at=iso(event.log_ms),
        message_sid=event.sid,
        masked=shown.masked if shown else "",
        cause=cause,
        message_id=told_by,
        rule=parsed.rule if isinstance(parsed, TextArrived) else "",
    )
