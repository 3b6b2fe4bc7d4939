"""What the simulator is told at the start, and what may be changed while it runs."""

import re
from collections.abc import Iterable
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from app.simulator.faults import Count, Milliseconds, RecipientScript
from app.simulator.line_types import read_line
from app.simulator.recipient import read_end

ACCOUNT = re.compile(r"AC[0-9a-fA-F]{32}\Z")
# With the prefix of a channel, or the few digits of a short code.
_NUMBER = re.compile(r"([a-z]+:)?\+?[0-9]{3,15}\Z")
MIX = {"delivered": 0.90, "undelivered": 0.05, "failed": 0.02, "silent": 0.03}


def _must_be_numbers(name: str, numbers: Iterable[str]) -> None:
    """Check that all are numbers. Raises ValueError."""
    if wrong := [number for number in numbers if not _NUMBER.match(number)]:
        raise ValueError(f"{name}: {wrong[0]} is no number")


class ChangeableConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What POST /_sim/config may set; see SimulatorConfig."""

    seed: int = 7
    mix: dict[str, float] = msgspec.field(default_factory=lambda: dict(MIX))
    countries: dict[str, dict[str, float]] = {}
    lines: dict[str, float] = msgspec.field(default_factory=lambda: {"mobile": 1.0})
    ends: dict[str, str] = {}
    scripts: dict[str, RecipientScript] = {}
    reserved: bool = True
    step_ms: Milliseconds = 30.0
    latency_ms: Milliseconds = 0.0
    concurrency: Count = 0
    mps: Milliseconds = 0.0
    mps_of: dict[str, Milliseconds] = {}
    queue_s: Milliseconds = 36_000.0
    inbound_url: str = ""
    fallback_url: str = ""
    advanced_opt_out: bool = False
    schedule_min_s: float = 300.0
    errors: Literal["legacy", "problem"] = "legacy"
    webhooks: Literal["form", "json"] = "form"

    def __post_init__(self) -> None:
        """Raises ValueError (TypeError and ValidationError are msgspec's own)."""
        for name, url in (("inbound_url", self.inbound_url), ("fallback_url", self.fallback_url)):
            if url and not (url.startswith(("http://", "https://")) and urlsplit(url).hostname):
                raise ValueError(f"{name}: {url} is no http URL")
        for name, numbers in (("ends", self.ends), ("scripts", self.scripts), ("mps_of", self.mps_of)):
            _must_be_numbers(name, numbers)
        for end in self.ends.values():
            read_end(end)
        for mix in (self.mix, *self.countries.values()):
            for end in mix:
                read_end(end)
        for line in self.lines:
            read_line(line)
        for mix in (self.mix, self.lines, *self.countries.values()):
            if any(weight < 0 for weight in mix.values()) or not sum(mix.values()) > 0:
                raise ValueError("mix, countries, lines: weights are numbers from 0, one at least above 0")
        if any(not prefix.startswith("+") for prefix in self.countries):
            raise ValueError("countries: a prefix of numbers, as in +44")

    def mix_of(self, to: str) -> dict[str, float]:
        """The mix of the longest prefix in `countries`, else `mix`."""
        if not self.countries:
            return self.mix
        fitting = [prefix for prefix in self.countries if to.startswith(prefix)]
        return self.countries[max(fitting, key=len)] if fitting else self.mix

    def rate_of(self, sender: str) -> float:
        """Segments a second that a sender sends; 0: any number."""
        return self.mps_of.get(sender, self.mps)


class SimulatorConfig(ChangeableConfig, frozen=True, kw_only=True):
    """Behaviour of texts: `mix`: weight of each end (delivered, undelivered, failed, silent, read, stuck, corrected,
    contradicted; or with a Twilio code, as in `undelivered:30005`); `countries`: the mix of numbers by prefix; `ends`:
    the end of every text to a number; `scripts`: all that a number does (Script), beside those of `reserved` numbers;
    `seed`: which rolls are rolled. `ends` comes before `scripts`, these before `countries`, that before `mix`.
    `lines`: weight of each line type that Lookup tells of numbers without one of their own (mobile, landline ...; or
    `error:60600`); texts to those that are landlines by it end undelivered with 30006.

    Pace: `step_ms`: mean time between two status callbacks; `latency_ms`: of each API answer; `concurrency`: so many
    calls at once, more are answered with 429 (0: no limit); `mps`: segments a second of each sender, `mps_of`: of one
    (0: no limit), with a queue of `queue_s` seconds behind it (Twilio: 10 h).

    `inbound_url`: where texts of people go, `fallback_url` if that fails; `advanced_opt_out`: OptOutType on keywords
    to a service, and a blocked text of a service fails after its create instead of at it; `schedule_min_s`: how near
    SendAt may be; `errors`: legacy JSON or problem+json (RFC 9457); `webhooks`: form, or JSON with bodySHA256.

    At the start only: `api_keys`: SK SID to secret; `senders`: the pool behind a service; `service`: SID of one
    that the account holds, in order: with the senders, the URLs above, an approved campaign; `shared_key` and
    `shared_secret`: sign webhooks with HMAC-SHA256 and this key instead of the auth token; `keep`: so many texts are
    remembered, older ones forgotten.
    """

    account_sid: str
    auth_token: str
    api_keys: dict[str, str] = {}
    senders: tuple[str, ...] = ("+15005550006",)
    service: str = ""
    shared_key: str = ""
    shared_secret: str = ""
    keep: int = 1_000_000

    def __post_init__(self) -> None:
        """Check the values. Raises ValueError."""
        super().__post_init__()
        _must_be_numbers("sender", self.senders)
        if not ACCOUNT.match(self.account_sid):
            raise ValueError(f"account: {self.account_sid} is not AC and 32 hex digits")
        if bool(self.shared_key) != bool(self.shared_secret):
            raise ValueError("shared_key and shared_secret go together")
