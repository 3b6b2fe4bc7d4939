"""Family `lanes`: what the contacts agent tells the lanes agent, keyed by tenant."""

from typing import Annotated

import msgspec
from msgspec import Meta

from app.domain.model import schema_fields as f
from app.domain.model.vocabulary import ErrorClass, Priority, Proof


class PermitRequested(msgspec.Struct, frozen=True, kw_only=True, tag="lane.asked.v1", tag_field="type", gc=False):
    """The wish to start attempt `attempt` of a message before `expires_ms`."""

    tenant: f.Tenant
    message_id: f.MessageId
    attempt: f.Attempt
    lane: f.Lane
    priority: Priority
    segments: f.Segments
    expires_ms: f.EpochMs


class PermitSettled(msgspec.Struct, frozen=True, kw_only=True, tag="lane.answered.v1", tag_field="type", gc=False):
    """The ask is done with: its turn was taken, or it is withdrawn."""

    tenant: f.Tenant
    message_id: f.MessageId
    attempt: f.Attempt
    lane: f.Lane
    taken: bool


class LaneThrottled(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="lane.slowed.v1", tag_field="type", gc=False
):
    """Twilio throttled this line: no turn for `hold_ms`. Or refused its set-up (configuration): it stops, and one
    attempt now and then probes whether it works again; `begun_ms`: when the attempt that was refused was claimed;
    `probe`: it was one; with any other error it told nothing of the set-up, and another one follows soon."""

    tenant: f.Tenant
    lane: f.Lane
    error: ErrorClass
    hold_ms: f.Ms
    code: f.Code | None = None
    proof: Annotated[Proof, Meta(description="What shows that it works again: taken or sent.")] = Proof.TAKEN
    begun_ms: f.EpochMs = 0
    probe: Annotated[bool, Meta(description="The attempt was a probe.")] = False


class ProbeSucceeded(msgspec.Struct, frozen=True, kw_only=True, tag="lane.proved.v1", tag_field="type", gc=False):
    """A probe came through: the line goes on."""

    tenant: f.Tenant
    lane: f.Lane


class StoppedLane(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="lane.stopped.v1", tag_field="type", gc=False
):
    """A row, no record: the line is stopped, so that whoever owns it next knows. The next probe goes at `until_ms`."""

    tenant: f.Tenant
    lane: f.Lane
    proof: Proof
    until_ms: f.EpochMs
    hold_ms: f.Ms
    since_ms: f.EpochMs
    code: f.Code | None = None


class InboundPolled(
    msgspec.Struct, frozen=True, kw_only=True, tag="lane.inbound_looked.v1", tag_field="type", gc=False
):
    """Twilio's list was read for texts that came in to this tenant up to `until_ms`: the next look begins there."""

    tenant: f.Tenant
    until_ms: f.EpochMs


LaneRecord = PermitRequested | PermitSettled | LaneThrottled | ProbeSucceeded | InboundPolled
decoder = msgspec.json.Decoder(LaneRecord)
encode = msgspec.json.Encoder().encode
