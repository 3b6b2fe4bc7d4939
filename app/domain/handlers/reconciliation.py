"""Decisions on what Twilio's list holds: facts about attempts whose SID is known, and the SID of one in doubt.

The list bears no id of ours. It can prove *sent*, never *not sent*: a text that fits an attempt in doubt by sender,
text and time is taken for it only if it fits no other attempt whose SID is unknown, and no other text fits it. What
may be an attempt's is remembered until that is known, so that answers, reports and lists may come in any order. An
answer or a report that bears our id proves; what was inferred against it is undone.
"""

from collections.abc import Iterable, Iterator

from app.domain.handlers.inbound import learn
from app.domain.model.contact import Attempt, Contact, Message, digest_of, get_attempt, in_doubt
from app.domain.model.events import (
    AttemptProgressed,
    InferredSidWithdrawn,
    InputRefused,
    ReconciliationMade,
    TextsRemembered,
)
from app.domain.model.inputs import MessagesListed
from app.domain.model.listed_text import ListedText
from app.domain.model.row_limits import MOST_LISTED
from app.domain.model.vocabulary import OutcomeWord, Provenance, Reason, Stage
from app.domain.rules.attempt_evaluation import evaluate_attempt
from app.domain.rules.decision_context import DecisionContext, key_of
from app.domain.rules.placement import SKEW_MS, is_unknown

Held = tuple[Message, Attempt]


def listed(case: DecisionContext, record: MessagesListed) -> None:
    """The look is made, whatever was found. Only a whole list can show that a text has no rival."""
    at_ms = max(record.look_ms, case.place.log_ms)
    for message_id in record.message_ids:
        message = case.find(message_id)
        if message is not None and message.stage is not Stage.FINAL:
            case.record(ReconciliationMade(key=key_of(message.id), at_ms=at_ms))
    owned = tuple(text for text in record.texts if _owner(case, text.sid))
    whole = record.whole and len(owned) < len(record.texts)
    if whole and not _room(case, record):
        rule = f"holds more than {MOST_LISTED} texts that may be those of attempts in doubt: none is taken for one"
        case.record(InputRefused(field="texts", rule=rule))
        whole = False
    settle(case, record.texts if whole else owned)


def _room(case: DecisionContext, record: MessagesListed) -> bool:
    """Whether what would be remembered is not too much. To remember some of it would hide rivals of the rest."""
    known = {text.sid for text in case.contact.listed}
    new = (t for t in record.texts if t.sid not in known and _is_loose(case, t))
    return len(known) + sum(any(_candidates(case.contact, text)) for text in new) <= MOST_LISTED


def settle(case: DecisionContext, told: Iterable[ListedText] = ()) -> None:
    """What is known of texts on the list, old and new, goes to the attempts; the rest is remembered or forgotten."""
    texts = {text.sid: text for text in sorted((*case.contact.listed, *told), key=lambda text: text.progress)}
    for text in texts.values():
        if (owner := _owner(case, text.sid)) is not None:
            _learn(case, *owner, text, inferred=owner[1].inferred)
        elif (owner := _find(case.ahead.values(), text.sid)) is not None:
            _learn_again(case, *owner, text)
    loose = [text for text in texts.values() if _is_loose(case, text)]
    for text in loose:
        if (fitting := _fitting(case, text, loose)) is not None:
            _learn(case, *fitting, text, inferred=True)
    kept = tuple(t for t in loose if not _owner(case, t.sid) and any(_candidates(case.contact, t)))
    if kept != case.contact.listed:
        case.record(TextsRemembered(texts=kept))


def prove(case: DecisionContext, message: Message, attempt: Attempt, sid: str) -> bool:
    """The attempt's SID is known for sure ("": it has none); what was inferred against that, if anything, is undone."""
    wrong = [(message, attempt)] if attempt.inferred and attempt.sid != sid else []
    for other in (*case.contact.messages.values(), *case.rows.values()):
        for theirs in other.attempts:
            if theirs.inferred and theirs.sid == sid and (theirs.n != attempt.n or other.id != message.id):
                wrong.append((other, theirs))
    for held in wrong:
        _unbind(case, *held)
    return bool(wrong)


def _unbind(case: DecisionContext, message: Message, attempt: Attempt) -> None:
    case.record(InferredSidWithdrawn(key=key_of(message.id), n=attempt.n))
    after = case.find(message.id)
    assert after is not None, "it was there a moment ago"
    if after.stage is Stage.FINAL and any(in_doubt(each) for each in after.attempts):
        case.conclude(after, OutcomeWord.IN_DOUBT, Reason.NO_ANSWER)


def _learn(case: DecisionContext, message: Message, attempt: Attempt, text: ListedText, *, inferred: bool) -> None:
    behind = text.code is None and text.progress <= attempt.progress
    if behind or any(s.progress == text.progress and s.code == text.code for s in attempt.learnt):
        return
    case.record(
        AttemptProgressed(
            key=key_of(message.id),
            n=attempt.n,
            progress=text.progress,
            at_ms=case.place.log_ms,
            provenance=Provenance.RECONCILED,
            sid=text.sid,
            code=text.code,
            error=text.error,
            inferred=inferred,
            hold_ms=text.hold_until_ms,
        )
    )
    after = case.find(message.id)
    assert after is not None, "it was there a moment ago"
    learn(case, (after, get_attempt(after, attempt.n)), text, text.created_ms, text.sid)
    evaluate_attempt(case, message.id, attempt.n)


def _learn_again(case: DecisionContext, message: Message, attempt: Attempt, text: ListedText) -> None:
    """The message's row shows this list already, the contact's row does not (see `fold`)."""
    at_ms = case.place.log_ms
    news = (text.progress, text.code, at_ms, Provenance.RECONCILED)
    if any((step.progress, step.code, step.at_ms, step.provenance) == news for step in attempt.learnt):
        learn(case, (message, attempt), text, text.created_ms, text.sid)


def _fitting(case: DecisionContext, text: ListedText, loose: list[ListedText]) -> Held | None:
    """The one attempt in doubt that fits, if neither it nor the text has a rival, be it one that left the row."""
    candidates = list(_candidates(case.contact, text))
    if len(candidates) != 1 or _may_be_departed(case.contact, text):
        return None
    message, attempt = candidates[0]
    all_known = attempt.claimed_ms > case.contact.departed_until_ms
    alone = sum(_fits(message, attempt, other) for other in loose) == 1
    return candidates[0] if in_doubt(attempt) and all_known and alone else None


def _candidates(contact: Contact, text: ListedText) -> Iterator[Held]:
    """Attempts whose SID is unknown and may be this one, in doubt or not yet answered."""
    for message, attempt in _attempts(contact.messages.values()):
        if is_unknown(attempt) and _fits(message, attempt, text):
            yield message, attempt


def _fits(message: Message, attempt: Attempt, text: ListedText) -> bool:
    """By sender, text, and the time within which the call must have left."""
    policy, digest = message.policy, digest_of(message, plain=attempt.plain)
    if policy is None or policy.lane not in text.lanes or not digest or digest != text.digest:
        return False
    return -SKEW_MS <= text.created_ms - attempt.claimed_ms <= policy.doubt_after_ms + SKEW_MS


def _may_be_departed(contact: Contact, text: ListedText) -> bool:
    """Whether it may be of an attempt without a known SID whose message left the row."""
    fitting = (d for d in contact.departed if not d.sid and d.digest == text.digest)
    return any(text.created_ms <= departed.until_ms for departed in fitting)


def _is_loose(case: DecisionContext, text: ListedText) -> bool:
    """Whether it is of no attempt that is known."""
    if any(departed.sid == text.sid for departed in case.contact.departed):
        return False
    return _owner(case, text.sid) is None and _find(case.ahead.values(), text.sid) is None


def _owner(case: DecisionContext, sid: str) -> Held | None:
    return _find(case.contact.messages.values(), sid) or _find(case.rows.values(), sid)


def _find(messages: Iterable[Message], sid: str) -> Held | None:
    return next((held for held in _attempts(messages) if held[1].sid == sid), None)


def _attempts(messages: Iterable[Message]) -> Iterator[Held]:
    for message in messages:
        for attempt in message.attempts:
            yield message, attempt
