"""Consent from a contact's STOP and START texts, whatever their order on the log, their repeats and their sources.

A text counts once, by its MessageSid, with the time of receipt of its first delivery. Twilio may deliver a text again
hours later: by a retry through another ingress, by the fallback URL, from a spool, or on its list of messages. Were
each delivery to count, a START from before a STOP would reopen consent.
"""

from collections.abc import Iterable

import msgspec
from msgspec.structs import replace

from app.domain.model.contact import Consent, ConsentText
from app.domain.model.row_limits import KEPT_CONSENT_TEXTS
from app.domain.model.vocabulary import Intent, Provenance

# A START reopens only if it was received this long after the last STOP: the two travel different ways.
REOPEN_MS = 2000
# What `ConsentChanged.source` says of a text from the person; all others are words of Twilio.
TEXT_SOURCES = frozenset({"keyword", "opt_out_type"})


class ConsentTextRedated(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag=True, gc=False):
    """A text that is remembered was received earlier than was known, and consent stays as it is."""

    text: ConsentText


def remembers(consent: Consent, sid: str) -> bool:
    """Whether the text with this MessageSid has counted."""
    return any(text.sid == sid for text in consent.texts)


def is_doubtful(consent: Consent, text: ConsentText, provenance: Provenance) -> bool:
    """Whether a START may be one that was forgotten, and so must not reopen consent.

    One on Twilio's list is never doubtful: its time is Twilio's, which no repeat changes. So a START that is new after
    all reopens when the list is next read (`HELIOGRAPH_INBOUND_LOOK_S`).
    """
    forgot = consent.started_forgotten_ms > 0 and not remembers(consent, text.sid)
    return text.intent is Intent.START and forgot and provenance is not Provenance.RECONCILED


def with_text(consent: Consent, text: ConsentText) -> Consent:
    """Consent after one more delivery of a STOP or START text. `opted_out` is left as it was."""
    stopped_ms, forgotten_ms = _not_of_texts(consent)
    texts = {known.sid: known for known in consent.texts}
    texts[text.sid] = _merged(texts.get(text.sid, text), text)
    ordered = sorted(texts.values(), key=lambda one: (one.received_ms, one.sid))
    forgotten, kept = ordered[:-KEPT_CONSENT_TEXTS], ordered[-KEPT_CONSENT_TEXTS:]
    stopped_ms = max(stopped_ms, _latest_ms(Intent.STOP, forgotten))
    forgotten_ms = max(forgotten_ms, _latest_ms(Intent.START, forgotten))
    return replace(
        consent,
        texts=tuple(kept),
        stopped_otherwise_ms=stopped_ms,
        started_forgotten_ms=forgotten_ms,
        stopped_received_ms=max(stopped_ms, _latest_ms(Intent.STOP, kept)),
        started_received_ms=max(forgotten_ms, _latest_ms(Intent.START, kept)),
    )


def with_twilios_word(consent: Consent, received_ms: int) -> Consent:
    """Consent after Twilio refused a message for an opt-out. `opted_out` is left as it was."""
    stopped_ms, forgotten_ms = _not_of_texts(consent)
    return replace(
        consent,
        stopped_otherwise_ms=max(stopped_ms, received_ms),
        started_forgotten_ms=forgotten_ms,
        stopped_received_ms=max(consent.stopped_received_ms, received_ms),
    )


def consent_after(consent: Consent, stop_or_start: ConsentText, source: str) -> Consent:
    """Consent after a STOP or START, told by `source` (see `records.consent`). `opted_out` is left as it was."""
    if source in TEXT_SOURCES:
        return with_text(consent, stop_or_start)
    return with_twilios_word(consent, stop_or_start.received_ms)


def is_closed(consent: Consent) -> bool:
    """Whether the times of receipt say that the person is opted out; a STOP wins a tie."""
    return 0 < consent.stopped_received_ms >= consent.started_received_ms - REOPEN_MS


def _not_of_texts(consent: Consent) -> tuple[int, int]:
    """Times of the last STOP and START that are not among `texts`. Without texts all that is known is such."""
    if consent.texts:
        return consent.stopped_otherwise_ms, consent.started_forgotten_ms
    return consent.stopped_received_ms, consent.started_received_ms


def _merged(known: ConsentText, again: ConsentText) -> ConsentText:
    """The earliest time; STOP if any delivery was read so. Any order of deliveries gives the same."""
    intent = Intent.STOP if Intent.STOP in (known.intent, again.intent) else known.intent
    return ConsentText(known.sid, intent, min(known.received_ms, again.received_ms))


def _latest_ms(intent: Intent, texts: Iterable[ConsentText]) -> int:
    return max((text.received_ms for text in texts if text.intent is intent), default=0)
