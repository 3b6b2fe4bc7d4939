"""Family `lanes`: what the contacts agent tells the lanes agent, keyed by tenant."""

import msgspec

from app.domain.words import ErrorClass, Priority


class Asked(msgspec.Struct, frozen=True, kw_only=True, tag="lane.asked.v1", tag_field="type"):
    """The wish to start attempt `attempt` of a message. `segments` are billed parts; `expires_ms` since the epoch."""

    tenant: str
    message_id: str
    attempt: int
    lane: str
    priority: Priority
    segments: int
    expires_ms: int


class TurnAnswered(msgspec.Struct, frozen=True, kw_only=True, tag="lane.answered.v1", tag_field="type"):
    """The ask is done with: its turn was taken, or it is withdrawn."""

    tenant: str
    message_id: str
    attempt: int
    lane: str
    taken: bool


class Slowed(msgspec.Struct, frozen=True, kw_only=True, tag="lane.slowed.v1", tag_field="type"):
    """Twilio throttled or refused this line: no turn for `hold_ms`."""

    tenant: str
    lane: str
    error: ErrorClass
    hold_ms: int


class InboundLooked(msgspec.Struct, frozen=True, kw_only=True, tag="lane.inbound_looked.v1", tag_field="type"):
    """Twilio's list was read for texts that came in to this tenant up to `until_ms`: the next look begins there."""

    tenant: str
    until_ms: int


LaneRecord = Asked | TurnAnswered | Slowed | InboundLooked
decoder = msgspec.json.Decoder(LaneRecord)
encode = msgspec.json.Encoder().encode
