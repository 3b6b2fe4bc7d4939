"""Family `lanes`: what the contacts agent tells the lanes agent, keyed by tenant."""

import msgspec

from app.domain import fields as f
from app.domain.words import ErrorClass, Priority


class Asked(msgspec.Struct, frozen=True, kw_only=True, tag="lane.asked.v1", tag_field="type"):
    """The wish to start attempt `attempt` of a message before `expires_ms`."""

    tenant: f.Tenant
    message_id: f.MessageId
    attempt: f.Attempt
    lane: f.Lane
    priority: Priority
    segments: f.Segments
    expires_ms: f.EpochMs


class TurnAnswered(msgspec.Struct, frozen=True, kw_only=True, tag="lane.answered.v1", tag_field="type"):
    """The ask is done with: its turn was taken, or it is withdrawn."""

    tenant: f.Tenant
    message_id: f.MessageId
    attempt: f.Attempt
    lane: f.Lane
    taken: bool


class Slowed(msgspec.Struct, frozen=True, kw_only=True, tag="lane.slowed.v1", tag_field="type"):
    """Twilio throttled or refused this line: no turn for `hold_ms`."""

    tenant: f.Tenant
    lane: f.Lane
    error: ErrorClass
    hold_ms: f.Ms


LaneRecord = Asked | TurnAnswered | Slowed
decoder = msgspec.json.Decoder(LaneRecord)
encode = msgspec.json.Encoder().encode
