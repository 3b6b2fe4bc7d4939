"""Chance that can be repeated: a roll depends on the seed and on what it is for, never on who came first."""

from collections import Counter
from hashlib import blake2b

from app.simulator.config import Faults

CALL_FAULTS = ("timeout", "throttle", "error_500", "accept_then_timeout", "accept_then_500")
CALLBACK_FAULTS = ("duplicate", "lost", "late", "reorder", "before_response")


def roll(*what: object) -> float:
    """From 0 to below 1; equal arguments give equal rolls."""
    return int.from_bytes(blake2b(repr(what).encode(), digest_size=7).digest()) / (1 << 56)


class Strikes:
    """Which fault strikes whom. The n-th question about a fault and a number has the same answer in every run."""

    def __init__(self, seed: int, faults: Faults) -> None:
        self.faults, self._seed = faults, seed
        self._asked: Counter[tuple[str, str]] = Counter()
        self.struck: Counter[str] = Counter()

    def strikes(self, fault: str, to: str) -> bool:
        """Whether the fault strikes this call, text or callback of a number."""
        share = getattr(self.faults, fault)
        if not share or (self.faults.to and to not in self.faults.to) or self._spent(fault):
            return False
        self._asked[fault, to] += 1
        if roll(self._seed, fault, to, self._asked[fault, to]) >= share:
            return False
        self.struck[fault] += 1
        return True

    def call(self, to: str) -> str:
        """The one fault that strikes this create call, "" if none does."""
        return next((fault for fault in CALL_FAULTS if self.strikes(fault, to)), "")

    def _spent(self, fault: str) -> bool:
        kinds, limit = CALL_FAULTS, self.faults.calls
        if fault in CALLBACK_FAULTS:
            kinds, limit = CALLBACK_FAULTS, self.faults.callbacks
        return bool(limit) and fault in kinds and sum(self.struck[kind] for kind in kinds) >= limit
