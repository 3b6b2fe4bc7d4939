"""Chance that can be repeated: a roll depends on the seed and on what it is for, never on who came first."""

from collections import Counter
from collections.abc import Mapping
from hashlib import blake2b

from app.simulator.faults import ALL_FAULTS, CALL_FAULTS, CALLBACK_FAULTS, FaultConfig, RecipientScript

# So many pairs of a fault and a number are remembered (some 100 MB); then their counts begin anew.
MAX_ASKED = 500_000


def roll(*what: object) -> float:
    """From 0 to below 1; equal arguments give equal rolls."""
    return int.from_bytes(blake2b(repr(what).encode(), digest_size=7).digest()) / (1 << 56)


class FaultSampler:
    """Which fault strikes whom. The n-th question about a fault and a number has the same answer in every run.

    `scripts`: numbers with a behaviour of their own, struck whatever the shares and limits of `faults` are.
    """

    def __init__(
        self, seed: int, faults: FaultConfig, scripts: Mapping[str, RecipientScript], most: int = MAX_ASKED
    ) -> None:
        self.faults, self.scripts, self._seed, self._most = faults, scripts, seed, most
        self._shares = {name: share for name in ALL_FAULTS if (share := getattr(faults, name))}
        self._calls = [name for name in CALL_FAULTS if name in self._shares]
        self._asked: Counter[tuple[str, str]] = Counter()
        self.struck: Counter[str] = Counter()

    def strikes(self, fault: str, to: str) -> bool:
        """Whether the fault strikes this call, text or callback of a number."""
        return self._as_scripted(fault, to) if to in self.scripts else self._by_share(fault, to)

    def call(self, to: str) -> str:
        """The one fault that strikes this create call, "" if none does."""
        kinds = self.scripts[to].faults if to in self.scripts else self._calls
        return next((fault for fault in kinds if fault in CALL_FAULTS and self.strikes(fault, to)), "")

    def delay(self, fault: str, to: str) -> float | None:
        """Seconds by which an answer is `slow` or a callback `late`; None if it is not."""
        ms: float = self.scripts[to].ms if to in self.scripts else getattr(self.faults, f"{fault}_ms")
        return ms / 1000 if ms and self.strikes(fault, to) else None

    def refusal(self, to: str) -> int:
        """Twilio's code that a script refuses this create with, 0 for none."""
        code = self.scripts[to].refusal if to in self.scripts else 0
        return code if code and self._nth("refusal", to) else 0

    def _as_scripted(self, fault: str, to: str) -> bool:
        if fault not in self.scripts[to].faults or not self._nth(fault, to):
            return False
        self.struck[fault] += 1
        return True

    def _nth(self, what: str, to: str) -> bool:
        """Whether a script still holds; counts only where it ends."""
        times = self.scripts[to].times
        if times:
            self._asked[what, to] += 1
        return not times or self._asked[what, to] <= times

    def _by_share(self, fault: str, to: str) -> bool:
        share = self._shares.get(fault)
        if not share or (self.faults.to and to not in self.faults.to) or self._spent(fault):
            return False
        if len(self._asked) >= self._most:
            self._asked.clear()
        self._asked[fault, to] += 1
        if roll(self._seed, fault, to, self._asked[fault, to]) >= share:
            return False
        self.struck[fault] += 1
        return True

    def _spent(self, fault: str) -> bool:
        called_back = fault in CALLBACK_FAULTS
        kinds: tuple[str, ...] = CALLBACK_FAULTS if called_back else CALL_FAULTS
        limit = self.faults.callbacks if called_back else self.faults.calls
        return bool(limit) and fault in kinds and sum(self.struck[kind] for kind in kinds) >= limit
