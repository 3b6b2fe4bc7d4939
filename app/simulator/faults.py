"""Misbehaviour: what can go wrong on Twilio's side, by rate (Faults) or by number (Script)."""

from typing import Annotated

import msgspec

from app.simulator.line_types import read_line
from app.simulator.recipient import read_end

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Milliseconds = Annotated[float, msgspec.Meta(ge=0)]
Count = Annotated[int, msgspec.Meta(ge=0)]

NOT_TAKEN = ("timeout", "throttle", "error_500", "error_503", "error_html")
TAKEN = ("accept_then_timeout", "accept_then_500", "accept_then_503", "accept_then_html", "accept_then_cut")
CALL_FAULTS = NOT_TAKEN + TAKEN
TEXT_FAULTS = ("filtered", "overflow")
CALLBACK_FAULTS = ("duplicate", "lost", "late", "reorder", "before_response")
INBOUND_FAULTS = ("inbound_duplicate", "inbound_lost")
LOOKUP_FAULTS = ("lookup_timeout", "lookup_throttle", "lookup_500", "lookup_503")
ALL_FAULTS = ("slow", *CALL_FAULTS, *TEXT_FAULTS, *CALLBACK_FAULTS, *INBOUND_FAULTS, *LOOKUP_FAULTS)


class FaultConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Shares (0 to 1) of calls, texts and callbacks that misbehave.

    Calls that are not taken: `timeout` (never answered), `throttle` (429/20429, with Retry-After of `retry_after_s` if
    that is above 0), `error_500`, `error_503`, `error_html` (502, a page of a proxy). Taken: `accept_then_timeout`,
    `accept_then_500`, `accept_then_503`, `accept_then_html`, `accept_then_cut` (201, its JSON cut in two). `slow` of
    the answers come `slow_ms` later. `hold_ms`: how long a call without an answer is held open.
    Texts: `filtered` (undelivered, 30007), `overflow` (21611 for a number; failed with 30001 for a service).
    Callbacks: `duplicate`, `lost`, `late` (by `late_ms`), `reorder` (of one text, another order), `before_response`
    (the first callback is answered before the create is). Texts of people: `inbound_duplicate` (posted twice),
    `inbound_lost` (never posted; the list of texts has them). Lookups: `lookup_timeout` (never answered),
    `lookup_throttle`, `lookup_500`, `lookup_503`.
    Limits: `to` names the only numbers struck; `calls`, `callbacks`: at most so many are struck (0: no limit).
    """

    accept_then_timeout: Share = 0
    accept_then_500: Share = 0
    accept_then_503: Share = 0
    accept_then_html: Share = 0
    accept_then_cut: Share = 0
    timeout: Share = 0
    throttle: Share = 0
    retry_after_s: Count = 0
    error_500: Share = 0
    error_503: Share = 0
    error_html: Share = 0
    slow: Share = 1
    slow_ms: Milliseconds = 0
    hold_ms: Milliseconds = 60_000
    filtered: Share = 0
    overflow: Share = 0
    duplicate: Share = 0
    lost: Share = 0
    late: Share = 0
    late_ms: Milliseconds = 1000
    reorder: Share = 0
    before_response: Share = 0
    inbound_duplicate: Share = 0
    inbound_lost: Share = 0
    lookup_timeout: Share = 0
    lookup_throttle: Share = 0
    lookup_500: Share = 0
    lookup_503: Share = 0
    to: tuple[str, ...] = ()
    calls: Count = 0
    callbacks: Count = 0


class RecipientScript(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one number does, always or the first `times` times.

    `end`: of a text to it; `media_end`: of one with media; `faults`: what strikes its calls and callbacks (names of
    Faults); `ms`: by how much it is `slow` or `late`; `refusal`: Twilio's code at the create; `says`: what the person
    texts back when a text has arrived; `line`: what Lookup says of it, a type or `error:60600` ("": as the mix of
    lines has it), however many `times`.
    """

    end: str = "delivered"
    media_end: str = ""
    faults: tuple[str, ...] = ()
    ms: Milliseconds = 2000
    refusal: Count = 0
    says: str = ""
    line: str = ""
    times: Count = 0

    def __post_init__(self) -> None:
        """Check the values. Raises ValueError."""
        for end in filter(None, (self.end, self.media_end)):
            read_end(end)
        if self.line:
            read_line(self.line)
        for name in self.faults:
            if name not in ALL_FAULTS:
                raise ValueError(f"a fault is one of {', '.join(ALL_FAULTS)}, not {name!r}")

    def end_of(self, nth: int, *, media: bool) -> str:
        """How the nth text to the number (from 1) ends; "" leaves it to the mix."""
        if self.times and nth > self.times:
            return "delivered"
        return (media and self.media_end) or self.end
