"""Decision on an input that is produced again after it was not folded: the contact that was frozen by it thaws."""

from app.domain.model.frozen_contact import ContactUnfrozen
from app.domain.model.vocabulary import Reason, Stage
from app.domain.rules.decision_context import DecisionContext


def retried(case: DecisionContext, offset: int) -> None:
    """The input at `offset` was produced again, and is folded: the contact thaws if no other one is missing.

    What had asked for its turn asks anew, as the one that it was granted meanwhile was turned down.
    """
    if offset not in case.contact.frozen_by:
        return
    last = len(case.contact.frozen_by) == 1
    case.record(ContactUnfrozen(offset=offset, last=last))
    if last:
        for message in tuple(case.contact.messages.values()):
            if message.stage is Stage.WAITING and message.asked:
                case.ask(message, message.reason or Reason.REQUESTED)
