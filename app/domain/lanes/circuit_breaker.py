"""A lane whose set-up Twilio refuses: stopped, with one attempt now and then to see whether it works again."""

from app.domain.model.vocabulary import Proof

# An operator needs minutes to mend a set-up; every probe of one that is not mended costs a refused call.
FIRST_HOLD_MS, LONGEST_HOLDS = 60_000, 15
# A probe that met another fault, of the person or the moment, told nothing: another message may soon, and later and
# later if they all do.
UNDECIDED_MS = 5_000


class CircuitBreaker:
    """Open from the first refusal until a probe comes through. `proof`: what shows that it works; times in ms.
    `first_ms`: from the first refusal to the first probe; the longest pause is 15 times as long."""

    __slots__ = ("_soon_ms", "code", "hold_ms", "longest_ms", "proof", "since_ms", "until_ms")

    def __init__(self, now_ms: int, proof: Proof, code: int | None, first_ms: int = FIRST_HOLD_MS) -> None:
        self.since_ms, self.proof, self.code = now_ms, proof, code
        self.hold_ms, self.longest_ms = first_ms, first_ms * LONGEST_HOLDS
        self.until_ms = now_ms + first_ms
        self._soon_ms = UNDECIDED_MS

    def refused(self, now_ms: int, proof: Proof, code: int | None, *, probe: bool) -> None:
        """One more refusal. Those that were on their way when the lane stopped do not make the next probe later."""
        if proof is Proof.SENT:
            self.proof = proof
        if probe:
            self.code, self.hold_ms = code, min(self.hold_ms * 2, self.longest_ms)
            self.until_ms = now_ms + self.hold_ms
            self._soon_ms = UNDECIDED_MS

    def undecided(self, now_ms: int) -> None:
        """A probe ended without a word on the set-up."""
        self.until_ms = min(self.until_ms, now_ms + self._soon_ms)
        self._soon_ms = min(2 * self._soon_ms, self.longest_ms)

    def probed(self, now_ms: int) -> None:
        """A probe leaves; if nothing is heard of it, another one follows."""
        self.until_ms = now_ms + self.hold_ms
