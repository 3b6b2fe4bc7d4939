"""Effects: what the world outside the row must be told, as `decide` returns it beside the events."""

import msgspec

from app.domain.model.vocabulary import ErrorClass, Priority, Proof


class PermitRequest(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Effect: ask the lane for a turn for attempt `attempt`."""

    message_id: str
    attempt: int
    lane: str
    priority: Priority
    segments: int
    expires_ms: int


class PermitSettlement(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Effect: tell the lane that the ask is done with (a granted turn taken, or an ask or turn withdrawn)."""

    message_id: str
    attempt: int
    lane: str
    taken: bool


class LaneSlowed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Effect: Twilio throttled this lane: hold it for `hold_ms`; or refused it by configuration: it stops until `proof`
    is had; any other `error`: a probe told nothing. `begun_ms`: of the claim that met it; `probe`: it was one."""

    lane: str
    error: ErrorClass
    hold_ms: int
    code: int | None = None
    proof: Proof = Proof.TAKEN
    begun_ms: int = 0
    probe: bool = False


class LaneProved(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Effect: a probe shows that a stopped lane works again."""

    lane: str


class CheckpointRequest(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Effect: write the row as it stands after this input onto the contact's log."""


Effect = PermitRequest | PermitSettlement | LaneSlowed | LaneProved | CheckpointRequest
