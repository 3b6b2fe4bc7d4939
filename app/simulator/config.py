"""What the simulator is told at the start, and the faults it is told later."""

import msgspec

MIX = {"delivered": 0.90, "undelivered": 0.05, "failed": 0.02, "silent": 0.03}


class SimulatorConfig(msgspec.Struct, frozen=True, kw_only=True):
    """`mix`: share of each end of a text; `step_ms`: mean time between two status callbacks; `latency_ms`: of each API
    answer; `inbound_url`: where texts of people go; `advanced_opt_out`: OptOutType on inbound keywords."""

    account_sid: str
    auth_token: str
    api_keys: dict[str, str] = {}
    seed: int = 7
    mix: dict[str, float] = msgspec.field(default_factory=lambda: dict(MIX))
    step_ms: float = 30.0
    latency_ms: float = 0.0
    inbound_url: str = ""
    advanced_opt_out: bool = False


class Faults(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Shares (0 to 1) of calls or callbacks that misbehave; `calls` > 0 limits the API faults to so many calls.

    API: `accept_then_timeout` (taken, never answered), `accept_then_500`, `throttle` (429/20429), `error_500` (not
    taken), `slow_ms` on top of each answer. Callbacks: `duplicate`, `lost`, `late` (a second later), `reorder`,
    `before_response` (the first callback is sent before the create is answered).
    """

    accept_then_timeout: float = 0
    accept_then_500: float = 0
    throttle: float = 0
    error_500: float = 0
    slow_ms: float = 0
    duplicate: float = 0
    lost: float = 0
    late: float = 0
    reorder: float = 0
    before_response: float = 0
    calls: int = 0
