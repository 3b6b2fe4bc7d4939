"""What became of a message, from the read model. Never on the way of a send: without it a request is taken."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from app import clock
from app.domain.content.digests import payload_fingerprint
from app.ingress.v1.problems import ProblemError, broken
from app.read_model.reader import ReadModel
from app.read_model.state import AttemptState, MessageState, key_hash
from app.records.outcomes import AttemptSummary
from app.records.requests import MESSAGE_ID, NotifyRequested, payload_fields

T = TypeVar("T")
MAX_KEY = 200
NO_MESSAGE = "there is no such message"


class MessageStates:
    """Answers by message id, by idempotency key, and to a request that was made before.

    `pseudonym_key`: of key hashes and payload digests; `model`: None where nothing can be read.
    """

    def __init__(self, model: ReadModel | None, pseudonym_key: bytes) -> None:
        self._model, self._key = model, pseudonym_key

    @property
    def problem(self) -> str:
        """Why an answer may be missing or old, or ""."""
        return self._model.problem if self._model is not None else ""

    async def of_message(self, tenant: str, message_id: str) -> dict[str, Any]:
        """One message's state. Raises ProblemError: 404 for none of this tenant, 503 if it cannot be said now."""
        if not MESSAGE_ID.match(message_id):
            raise ProblemError(404, NO_MESSAGE)
        found = _known(await self._model.of_ids(tenant, [message_id]) if self._model else None)
        if message_id not in found:
            raise ProblemError(404, NO_MESSAGE)
        return state_fields(found[message_id])

    async def of_key(self, tenant: str, idempotency_key: str) -> dict[str, Any]:
        """The states of every recipient's message. Raises ProblemError: 422 without a key, 503 if it cannot be said
        now."""
        if not 0 < len(idempotency_key) <= MAX_KEY:
            raise broken("idempotency_key", f"must be text of 1 to {MAX_KEY} characters")
        hashed = key_hash(self._key, tenant, idempotency_key)
        found = _known(await self._model.of_key(tenant, hashed) if self._model else None)
        return {"messages": [state_fields(state) for state in found]}

    async def of_request(self, request: NotifyRequested, contacts: Mapping[str, str]) -> list[dict[str, Any]] | None:
        """The states of a request that was made before, one per recipient; `contacts`: by message id.

        None if one of them is not known, or cannot be compared: the fold decides then. Raises ProblemError: 409 if
        one of them was asked for with another payload.
        """
        found = await self._model.of_ids(request.tenant, contacts) if self._model else None
        if not found:
            return None
        payload = payload_fields(request)
        digests = {name: payload_fingerprint(self._key, contact, *payload) for name, contact in contacts.items()}
        for message_id, state in found.items():
            if state.request_digest not in ("", digests[message_id]):
                raise _conflict(state)
        if any(name not in found or not found[name].request_digest for name in contacts):
            return None
        return [state_fields(found[name]) for name in contacts]


def _known(found: T | None) -> T:
    if found is None:
        raise ProblemError(503, "the read model cannot be read now")
    return found


def _conflict(state: MessageState) -> ProblemError:
    rule = f"was used before for another payload: message {state.message_id}"
    return ProblemError(409, "the idempotency key is in use", "idempotency_key", rule)


def state_fields(state: MessageState) -> dict[str, Any]:
    """A message's state as it is answered: never text or number, the recipient masked."""
    attempts = list(_attempts(state))
    sids = [one["message_sid"] for one in attempts if one["message_sid"]]
    return {
        "message_id": state.message_id,
        "message_sid": sids[-1] if sids else None,
        "status": state.outcome or state.stage,
        "reason": state.reason if state.outcome else state.stage_reason,
        "recipient": {"masked": state.masked},
        "attempts": attempts,
        "outcome": _outcome(state),
        "requested_at": state.requested_at or _time(state.opened_ms),
        "updated_at": _time(state.changed_ms),
        "times": state.times,
    }


def _outcome(state: MessageState) -> dict[str, Any] | None:
    if not state.outcome:
        return None
    return {
        "outcome": state.outcome,
        "reason": state.reason,
        "revision": state.revision,
        "error_code": state.error_code,
        "possible_duplicate": state.possible_duplicate,
        "final_at": state.final_at,
    }


def _attempts(state: MessageState) -> Iterator[dict[str, Any]]:
    known: Sequence[AttemptSummary | AttemptState] = state.final_attempts or state.attempts
    for one in known:
        if isinstance(one, AttemptSummary):
            status: str = one.progress if one.progress != "claimed" else str(one.answer)
        else:
            status = one.state
        yield {
            "attempt": one.attempt,
            "message_sid": one.message_sid or None,
            "status": status,
            "error_code": one.error_code,
        }


def _time(at_ms: int) -> str | None:
    return clock.iso(at_ms) if at_ms else None
