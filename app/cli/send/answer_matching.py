"""Which answer and which outcome belongs to which message of `heliograph send --wait`.

A request is answered on `notify.updates` under its own id: only then is it known which message stands for it, and
whether the outcome of that message is the outcome of this request or of an earlier one with another payload.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from app.cli.send.file import ParsedFile
from app.domain.content.media import media_warnings
from app.domain.content.phone import read_address
from app.domain.model.vocabulary import Priority
from app.records.bulk import MOST_AT_ONCE
from app.records.requests import NotifyRequested, payload_fields, recipients_of

Outcome = dict[str, Any]
Identity = tuple[str, str, str]  # tenant, idempotency key, masked recipient: what an outcome shows of its message
CONFLICT = "conflict"
_ANSWERS = ("opened", "repeated", "conflicted")


class AwaitedMessage:
    """One message: the same number twice, or the same key, number and payload on two lines, is one.

    `request_ids`: of the events that ask for it; `warnings`: of its media; `message_id`, `waits`: what it is and, of
    one without an outcome, what it waits for, as far as it is known; `parks`: whether its request names so many
    recipients that it is expanded in the background.
    """

    def __init__(self, identity: Identity, warnings: Sequence[str] = (), *, parks: bool = False) -> None:
        self.identity, self.lines, self.warnings, self.parks = identity, list[int](), warnings, parks
        self.request_ids = set[str]()
        self.outcome: Outcome | None = None
        self.message_id, self.waits = "", ""

    @property
    def failed(self) -> bool:
        """Whether there is nothing to wait for, or nothing came: no outcome, or a conflict."""
        return self.outcome is None or self.outcome["outcome"] == CONFLICT


def awaited(asked: Iterable[ParsedFile]) -> list[AwaitedMessage]:
    """Every message of the lines, in their order; a cancel has none."""
    messages: dict[tuple[object, ...], AwaitedMessage] = {}
    for line, request in asked:
        if not isinstance(request, NotifyRequested):
            continue
        key, recipients = request.idempotency_key or request.id or "", recipients_of(request)
        parks = len(recipients) > MOST_AT_ONCE and request.priority is not Priority.URGENT
        for raw in recipients:
            address = read_address(raw)
            made = AwaitedMessage((request.tenant, key, address.masked), media_warnings(request.media), parks=parks)
            named = (request.tenant, key, address.canonical, payload_fields(request))
            message = messages.setdefault(named, made)
            message.request_ids.add(request.id or "")
            message.lines += [line] if line not in message.lines else []
    return list(messages.values())


class AnswerMatcher:
    """Gives answers and outcomes to the messages that wait; in any order. `left`: how many wait."""

    def __init__(self, messages: list[AwaitedMessage]) -> None:
        self._asking: dict[tuple[str, Identity], list[AwaitedMessage]] = {}
        for message in messages:
            for request_id in message.request_ids:
                self._asking.setdefault((request_id, message.identity), []).append(message)
        self._wanted = {message.identity for message in messages}
        self._waiting: dict[str, AwaitedMessage] = {}
        self._outcomes: dict[str, Outcome] = {}
        self.left = len(messages)

    def answer(self, update: dict[str, Any]) -> bool:
        """Take an update; whether a message that waited is done. Two numbers may share a mask: each gets an answer of
        its own."""
        if update.get("event") not in _ANSWERS:
            return False
        identity = (update["tenant"], update.get("idempotency_key", ""), update.get("masked", ""))
        asking = self._asking.get((update.get("request_id", ""), identity), ())
        message = next((one for one in asking if one.message_id in ("", update["message_id"])), None)
        if message is None or message.message_id:
            return False
        message.message_id = update["message_id"]
        if update["event"] == "conflicted":
            return self._ended(message, _conflict(update))
        self._waiting[message.message_id] = message
        outcome = self._outcomes.get(message.message_id)
        return outcome is not None and self._ended(message, outcome)

    def take(self, outcome: Outcome) -> bool:
        """Take an outcome; whether a message that waited is done. A later revision replaces an earlier one."""
        key = outcome["idempotency_key"]
        # Without a key its seal could not be opened: it may be the outcome of any message.
        if key and (outcome["tenant"], key, outcome["recipient"]["masked"]) not in self._wanted:
            return False
        self._outcomes[outcome["message_id"]] = outcome
        message = self._waiting.get(outcome["message_id"])
        return message is not None and self._ended(message, outcome)

    def _ended(self, message: AwaitedMessage, outcome: Outcome) -> bool:
        first, message.outcome = message.outcome is None, outcome
        self.left -= first
        return first


def _conflict(update: dict[str, Any]) -> Outcome:
    """In the form of an outcome. The message id is that of the message which the key named before."""
    return {
        "outcome": CONFLICT,
        "reason": CONFLICT,
        "field": "idempotency_key",
        "rule": "was used before for another payload",
        "recipient": {"masked": update["masked"]},
        "message_id": update["message_id"],
        "idempotency_key": update["idempotency_key"],
        "request_id": update["request_id"],
    }
