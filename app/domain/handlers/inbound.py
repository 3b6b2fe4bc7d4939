"""What texts and attempts tell of the person: consent, whether the number can be reached, which texts are filtered.

Decided from the attempts alone, not from what became of their message: a report folded again, after a worker died
between two rows, tells the same.
"""

from typing import Protocol

from app.domain.handlers.consent import learn_consent_text, learn_opt_out
from app.domain.model.consent_texts import remembers
from app.domain.model.contact import Attempt, Failure, Message, digest_of, last_attempt_no
from app.domain.model.events import TextReceived
from app.domain.model.inputs import TextArrived
from app.domain.model.number_events import FailuresForgotten, NumberChanged, NumberFailed, TextFiltered
from app.domain.model.row_limits import FAILURES_KEPT_MS
from app.domain.model.vocabulary import DeliveryStatus, ErrorClass, Intent, Provenance
from app.domain.rules.attempt_evaluation import suppress
from app.domain.rules.decision_context import DecisionContext, key_of


class AttemptFacts(Protocol):
    """What an answer, a report or a text on Twilio's list says of an attempt."""

    @property
    def progress(self) -> DeliveryStatus: ...
    @property
    def code(self) -> int | None: ...
    @property
    def error(self) -> ErrorClass | None: ...
    @property
    def invalid_after(self) -> int: ...


def texted(case: DecisionContext, record: TextArrived) -> None:
    """STOP closes and ends what has not left; START reopens; the number is alive; the text is told once per SID.

    A repeat, by whatever way, is nothing new, but that a STOP or START may have been received earlier than was known.
    """
    found, known = record.provenance is Provenance.RECONCILED, record.sid in case.contact.texts
    known = known or remembers(case.contact.consent, record.sid)
    if record.intent in (Intent.STOP, Intent.START):
        learn_consent_text(case, record)
    if known:
        return
    if not found or record.at > case.contact.number.since_ms:
        _reached(case, "texted")
    case.record(TextReceived(sid=record.sid, intent=record.intent))


def learn(case: DecisionContext, held: tuple[Message, Attempt], told: AttemptFacts, received_ms: int, sid: str) -> None:
    """`held`: message and attempt as they stand after what is told. A failure of what was delivered says nothing."""
    message, attempt = held
    digest = digest_of(message, plain=attempt.plain)
    own = message.id if attempt.n == last_attempt_no(message) else ""
    if told.error is ErrorClass.OPTED_OUT:
        learn_opt_out(case, received_ms, sid, told.code, own)
    if told.progress >= DeliveryStatus.DELIVERED:
        _reached(case, "delivered", key_of(message.id))
        if digest in case.contact.filtered:
            case.record(TextFiltered(digest=digest, lifted=True))
    elif attempt.progress >= DeliveryStatus.DELIVERED:
        return
    elif told.error is ErrorClass.FILTERED and digest and digest not in case.contact.filtered:
        case.record(TextFiltered(digest=digest))
        suppress(case, own)
    elif told.invalid_after and told.error is not None and case.contact.number.why is None:
        _failed(case, Failure(key_of(message.id), case.place.log_ms, told.invalid_after), told, own)


def _reached(case: DecisionContext, by: str, told_by: str = "") -> None:
    if case.contact.number.why is not None:
        case.record(NumberChanged(why=None, by=by, at_ms=case.place.log_ms, told_by=told_by))
    elif case.contact.number.failures:
        case.record(FailuresForgotten())


def _failed(case: DecisionContext, failure: Failure, told: AttemptFacts, own: str) -> None:
    """Messages count, not attempts: the retries of one are the same trouble."""
    assert told.error is not None, "a failure has a class"
    known = [f for f in case.contact.number.failures if failure.at_ms - f.at_ms <= FAILURES_KEPT_MS]
    counted = [f for f in known if f.key != failure.key]
    same = [f.invalid_after for f in known if f.key == failure.key]
    failure = Failure(failure.key, failure.at_ms, min([failure.invalid_after, *same]))
    if _enough((*counted, failure)):
        by, at = told.error.value, failure.at_ms
        case.record(NumberChanged(why=told.error, by=by, at_ms=at, told_by=failure.key, code=told.code))
        suppress(case, own)
    elif failure.invalid_after not in same:
        case.record(NumberFailed(told_by=failure.key, at_ms=failure.at_ms, invalid_after=failure.invalid_after))


def _enough(failures: tuple[Failure, ...]) -> bool:
    """A failure that weighs more counts among those that weigh less."""
    afters = [failure.invalid_after for failure in failures]
    return any(sum(other <= after for other in afters) >= after for after in afters)
