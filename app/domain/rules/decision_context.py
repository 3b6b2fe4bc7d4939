"""The case under decision: rows that evolve with each event decided, so that later rules of one input see them."""

from collections.abc import Mapping

from app.domain.model.contact import Contact, Message, last_attempt_no, possible_duplicate, segments_of
from app.domain.model.effects import Effect, PermitRequest, PermitSettlement
from app.domain.model.events import Event, OutcomeGiven, StageChanged
from app.domain.model.evolve import evolve
from app.domain.model.inputs import LogPosition
from app.domain.model.vocabulary import ErrorClass, OutcomeWord, Reason, Stage


class DecisionContext:
    """Rows, and what was decided so far. Used within `fold` alone.

    `rows`: message rows that the input names, by key; `ahead`: those of them that show this input or a later one
    already, as a worker died before it wrote the contact's row: nothing is decided on them.
    """

    __slots__ = ("ahead", "contact", "effects", "events", "place", "rows", "touched")

    def __init__(
        self,
        contact: Contact,
        rows: Mapping[str, Message],
        place: LogPosition,
        ahead: Mapping[str, Message] | None = None,
    ) -> None:
        self.contact, self.rows, self.place = contact, rows, place
        self.ahead: Mapping[str, Message] = ahead or {}
        self.events: list[Event] = []
        self.effects: list[Effect] = []
        # Keys of messages that changed, in the order of their first change.
        self.touched: dict[str, None] = {}

    def record(self, event: Event) -> None:
        """Record a decided event and apply it to the rows."""
        self.events.append(event)
        if key := getattr(event, "key", ""):
            self.touched[key] = None
        self.contact, self.rows = evolve(self.contact, self.rows, event, self.place)

    def effect(self, effect: Effect) -> None:
        """Record an effect for others than the row."""
        self.effects.append(effect)

    def find(self, message_id: str) -> Message | None:
        """The message as it stands, in the contact's row or in its own."""
        key = key_of(message_id)
        return self.contact.messages.get(key) or self.rows.get(key)

    def ask(self, message: Message, reason: Reason) -> None:
        """Ask the lane for a turn for the next attempt."""
        assert message.policy is not None, "only an accepted request asks"
        n, policy = last_attempt_no(message) + 1, message.policy
        self.record(StageChanged(key=key_of(message.id), stage=Stage.WAITING, reason=reason, asked=n))
        self.effect(
            PermitRequest(
                message_id=message.id,
                attempt=n,
                lane=policy.lane,
                priority=policy.priority,
                segments=segments_of(message),
                expires_ms=policy.expires_ms,
            )
        )

    def withdraw(self, message: Message) -> None:
        """Tell the lane that a waiting ask is void."""
        if message.stage is Stage.WAITING and message.asked and message.policy is not None:
            self.turn(message.id, message.asked, message.policy.lane, taken=False)

    def turn(self, message_id: str, attempt: int, lane: str, *, taken: bool) -> None:
        """Tell the lane that a permit was used, or is returned."""
        self.effect(PermitSettlement(message_id=message_id, attempt=attempt, lane=lane, taken=taken))

    def conclude(self, message: Message, word: OutcomeWord, reason: Reason, field: str = "", rule: str = "") -> None:
        """Give the outcome, or its next revision; the same word again is no news, unless it now is of two texts."""
        if message.word is word and (message.duplicate or not possible_duplicate(message)):
            return
        self.withdraw(message)
        self.record(
            OutcomeGiven(
                key=key_of(message.id),
                word=word,
                reason=reason,
                revision=message.revision + 1,
                at_ms=self.place.log_ms,
                field=field,
                rule=rule,
            )
        )


def key_of(message_id: str) -> str:
    """The message's key within its contact."""
    return message_id.partition("-")[2]


def reason_of(error: ErrorClass | None) -> Reason:
    """The reason of the same name."""
    return Reason.UNKNOWN if error is None else Reason(error.value)
