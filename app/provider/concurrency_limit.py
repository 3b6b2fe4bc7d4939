"""How many requests one account is given at once: additive increase, multiplicative decrease (AIMD, as TCP has it).

Twilio's limit is on requests at once, per account, not published, and shared with whoever else uses the account; beyond
it a request is answered 429 and was not processed. Its answers tell how many were under way (header
Twilio-Concurrent-Requests): one less than when Twilio refused is the brink, and there it does not rise. The brink
itself moves up, by 1, 2, 4 ... for limits are raised; one that refuses a single request is about something else, and
leaves none. No clock: time is counted in answers.
"""

# So many times the limit in answers at the brink without a refusal, and it is taken to lie higher.
ROUNDS = 20


class ConcurrencyLimit:
    """`limit` is between 1 and `most`. `begin` before a request, `answered` with what it gave after it."""

    def __init__(self, most: int) -> None:
        self._most, self._room, self._cuts = most, float(most), 0
        self._brink = self._waited = 0
        self._step = 1

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
        self._brink = concurrent - 1 if concurrent else 0
        self._waited, self._step = 0, 1
        return True

    def _wait(self) -> None:
        self._waited += 1
        if self._waited >= ROUNDS * self.limit:
            self._brink, self._waited, self._step = self._brink + self._step, 0, 2 * self._step
