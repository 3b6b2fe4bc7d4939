"""The order of one person's texts: calls to a contact leave in the order of its log.

It holds among messages on one lane and of equal priority that are ready as soon as they are asked for, and for the
first attempt of each. Only the first of them asks for a turn. The next one does once the first has its create result,
is in doubt, is abandoned, or is over. What is scheduled or tried again has left the order: it waits for nobody, and
nobody for it. Nothing can stall: what the first one waits for has a deadline, at which a timer ends the wait.
"""

from app.domain.model.contact import Message
from app.domain.model.vocabulary import CreateResult, DeliveryStatus, Reason, Stage
from app.domain.rules.decision_context import DecisionContext


def ask_next(case: DecisionContext) -> None:
    """Ask for a turn for each message that is the first of its order and has not asked yet."""
    first: dict[tuple[str, str], Message] = {}
    for message in case.contact.messages.values():
        if message.policy is None or not holds_place(message):
            continue
        place = (message.policy.lane, message.policy.priority)
        if place not in first or message.logged_offset < first[place].logged_offset:
            first[place] = message
    for message in first.values():
        if message.stage is Stage.WAITING and not message.asked:
            case.ask(message, Reason.REQUESTED)


def holds_place(message: Message) -> bool:
    """True if those behind the message wait for it: its first attempt is still to be called, or its call is open."""
    policy = message.policy
    if policy is None or (policy.start_ms > message.logged_ms and not policy.handed_over):
        return False
    if message.stage is Stage.WAITING:
        return not message.attempts
    if message.stage is not Stage.FLYING or len(message.attempts) != 1:
        return False
    attempt = message.attempts[0]
    unanswered = attempt.answer is CreateResult.OPEN and attempt.progress is DeliveryStatus.CLAIMED
    return attempt.n == 1 and unanswered and not attempt.doubtful
