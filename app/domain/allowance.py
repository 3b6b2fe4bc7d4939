"""How many requests one account is given at once: additive increase, multiplicative decrease (AIMD, as TCP has it).

Twilio's limit is on requests at once, per account, not published, and shared with whoever else uses the account; beyond
it a request is answered 429 and was not processed. Its answers tell how many were under way (header
Twilio-Concurrent-Requests): one less than when Twilio refused is the brink, and there it does not rise. The brink
itself moves up slowly, for limits are raised. No clock: time is counted in answers.
"""

# So many answers at the brink without a refusal, and it is taken to lie one request higher.
PATIENCE = 1000


class Allowance:
    """`limit` is between 1 and `most`. `begin` before a request, `answered` with what it gave after it."""

    def __init__(self, most: int) -> None:
        self._most, self._room, self._cuts = most, float(most), 0
        self._brink = self._waited = 0

    @property
    def limit(self) -> int:
        """Requests at once, now."""
        return int(self._room)

    def begin(self) -> int:
        """A request leaves; hand what this gives to `answered`."""
        return self._cuts

    def answered(self, begun: int, *, throttled: bool, concurrent: int | None) -> bool:
        """An answer came. True if it halved the limit: once for all requests that were under way together."""
        if throttled:
            return self._refused(begun, concurrent)
        if concurrent is not None and 0 < self._brink <= concurrent:
            self._wait()
        else:
            self._room = min(float(self._most), self._room + 1 / self._room)
        return False

    def _refused(self, begun: int, concurrent: int | None) -> bool:
        if begun != self._cuts:
            return False
        self._cuts += 1
        self._room = max(1.0, self._room / 2)
        self._brink, self._waited = max(1, concurrent - 1) if concurrent else 0, 0
        return True

    def _wait(self) -> None:
        self._waited += 1
        if self._waited >= PATIENCE:
            self._brink, self._waited = self._brink + 1, 0
