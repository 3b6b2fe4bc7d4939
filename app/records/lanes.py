"""Family `lanes`: what the contacts agent tells the lanes agent, keyed by tenant."""

import msgspec

from app.domain import fields as f
from app.domain.words import ErrorClass, Priority


class Asked(msgspec.Struct, frozen=True, kw_only=True, tag="lane.asked.v1", tag_field="type", gc=False):
    """The wish to start attempt `attempt` of a message before `expires_ms`."""

    tenant: f.Tenant
    message_id: f.MessageId
    attempt: f.Attempt
    lane: f.Lane
    priority: Priority
    segments: f.Segments
    expires_ms: f.EpochMs


class TurnAnswered(msgspec.Struct, frozen=True, kw_only=True, tag="lane.answered.v1", tag_field="type", gc=False):
    """The ask is done with: its turn was taken, or it is withdrawn."""

    tenant: f.Tenant
    message_id: f.MessageId
    attempt: f.Attempt
    lane: f.Lane
    taken: bool


class Slowed(msgspec.Struct, frozen=True, kw_only=True, tag="lane.slowed.v1", tag_field="type", gc=False):
    """Twilio throttled or refused this line: no turn for `hold_ms`."""

    tenant: f.Tenant
    lane: f.Lane
    error: ErrorClass
    hold_ms: f.Ms


class InboundLooked(
    msgspec.Struct, frozen=True, kw_only=True, tag="lane.inbound_looked.v1", tag_field="type", gc=False
):
    """Twilio's list was read for texts that came in to this tenant up to `until_ms`: the next look begins there."""

    tenant: f.Tenant
    until_ms: f.EpochMs


LaneRecord = Asked | TurnAnswered | Slowed | InboundLooked
decoder = msgspec.json.Decoder(LaneRecord)
encode = msgspec.json.Encoder().encode
