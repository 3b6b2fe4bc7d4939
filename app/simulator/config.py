"""What the simulator is told at the start, what may be changed while it runs, and the faults it is told later."""

from typing import Annotated

import msgspec

from app.simulator.person import read_end

MIX = {"delivered": 0.90, "undelivered": 0.05, "failed": 0.02, "silent": 0.03}
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Milliseconds = Annotated[float, msgspec.Meta(ge=0)]


class Changeable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What POST /_sim/config may set; see SimulatorConfig."""

    seed: int = 7
    mix: dict[str, float] = msgspec.field(default_factory=lambda: dict(MIX))
    ends: dict[str, str] = {}
    step_ms: Milliseconds = 30.0
    latency_ms: Milliseconds = 0.0
    inbound_url: str = ""
    fallback_url: str = ""
    advanced_opt_out: bool = False
    schedule_min_s: float = 300.0

    def __post_init__(self) -> None:
        """Raises ValueError (TypeError and ValidationError are msgspec's own)."""
        for end in (*self.mix, *self.ends.values()):
            read_end(end)
        if any(weight < 0 for weight in self.mix.values()) or not sum(self.mix.values()) > 0:
            raise ValueError("mix: weights are numbers from 0, one at least above 0")


class SimulatorConfig(Changeable, frozen=True, kw_only=True):
    """`mix`: weight of each end of a text (delivered, undelivered, failed, silent; or with a Twilio code, as in
    `undelivered:30005`); `ends`: the end of every text to a number, before the mix; `step_ms`: mean time between two
    status callbacks; `latency_ms`: of each API answer; `inbound_url`: where texts of people go, `fallback_url` if that
    fails; `advanced_opt_out`: OptOutType on inbound keywords, and a blocked text fails after its create instead of
    at it; `schedule_min_s`: how near SendAt may be; `api_keys`: SK SID to secret; `senders`: the pool behind a service.
    """

    account_sid: str
    auth_token: str
    api_keys: dict[str, str] = {}
    senders: tuple[str, ...] = ("+15005550006",)


class Faults(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Shares (0 to 1) of calls, texts and callbacks that misbehave.

    Calls: `accept_then_timeout` (taken, never answered), `accept_then_500`, `timeout` (not taken, never answered),
    `throttle` (429/20429), `error_500` (not taken), `slow` of the answers come `slow_ms` later. `hold_ms`: how long a
    call without an answer is held open. Texts: `filtered` (undelivered, 30007), `overflow` (21611 for a number; failed
    with 30001 for a service). Callbacks: `duplicate`, `lost`, `late` (by `late_ms`), `reorder` (of one text, another
    order), `before_response` (the first callback is answered before the create is).
    Limits: `to` names the only numbers struck; `calls`, `callbacks`: at most so many are struck (0: no limit).
    """

    accept_then_timeout: Share = 0
    accept_then_500: Share = 0
    timeout: Share = 0
    throttle: Share = 0
    error_500: Share = 0
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
    to: tuple[str, ...] = ()
    calls: Annotated[int, msgspec.Meta(ge=0)] = 0
    callbacks: Annotated[int, msgspec.Meta(ge=0)] = 0
