"""A lane: one sender's outgoing line. A token bucket in segments, three priorities, asks that wait, turns not answered.

The clock is handed in: ms of a clock that nobody sets, as all times here are spans from one moment to another. Only
`proved` and `begun_ms` are times of the log, ms since the epoch. Buckets start empty: a restart can never send more
than the rate.
"""

import heapq
from collections import deque
from collections.abc import Iterator

from app.domain.lanes.circuit_breaker import FIRST_HOLD_MS, CircuitBreaker
from app.domain.model.effects import PermitRequest
from app.domain.model.vocabulary import Priority, Proof

REGRANT_MS = 10_000
# Asks held back because calls wait are looked at again so much later: a call that ends makes no record for the lanes.
HELD_BACK_MS = 50
MANY = 1 << 62
# Of ten normal and bulk turns eight are normal: bulk is slow, never starved. Urgent always goes first.
NORMAL_SHARE, ROUND = 8, 10

AskKey = tuple[str, int]


class Bucket:
    """Tokens are segments: `rate` a second up to `burst`; rate 0 means no limit."""

    def __init__(self, rate: float, burst: float, now_ms: int) -> None:
        self.rate, self.burst = rate, max(burst, 1.0)
        self._tokens, self._at_ms = 0.0, now_ms
        self.held_until_ms = 0

    def _fill(self, now_ms: int) -> None:
        if now_ms > self._at_ms:
            self._tokens = min(self.burst, self._tokens + (now_ms - self._at_ms) * self.rate / 1000)
            self._at_ms = now_ms

    def take(self, segments: int, now_ms: int) -> bool:
        """Take the tokens of one text. One longer than the burst goes when the bucket is full, leaving a debt."""
        if now_ms < self.held_until_ms:
            return False
        if not self.rate:
            return True
        self._fill(now_ms)
        if self._tokens < min(segments, self.burst):
            return False
        self._tokens -= segments
        return True

    def ready_at(self, segments: int, now_ms: int) -> int:
        """When `take` will succeed."""
        wait = 0.0
        if self.rate:
            self._fill(now_ms)
            wait = max(0.0, min(segments, self.burst) - self._tokens) * 1000 / self.rate
        return max(self.held_until_ms, now_ms + int(wait) + (1 if wait else 0))


class Lane:
    """Who waits, who was granted a turn and has not answered. Repeats of asks and answers are harmless."""

    def __init__(self, rate: float, burst: float, now_ms: int, probe_after_ms: int = FIRST_HOLD_MS) -> None:
        self.bucket = Bucket(rate, burst, now_ms)
        self._probe_after_ms = probe_after_ms
        self._most_granted = 1000 if not rate else max(1, int(max(burst, rate)))
        self._queues: dict[Priority, deque[AskKey]] = {priority: deque() for priority in Priority}
        self._waiting: dict[AskKey, PermitRequest] = {}
        self._granted: dict[AskKey, PermitRequest] = {}
        self._again: list[tuple[int, AskKey]] = []
        self._turn = 0
        self.circuit: CircuitBreaker | None = None
        self._mended_ms = 0

    def __len__(self) -> int:
        return len(self._waiting) + len(self._granted)

    def ask(self, ask: PermitRequest) -> None:
        """Queue an ask; one that is known is not queued again."""
        key = (ask.message_id, ask.attempt)
        if key not in self._waiting and key not in self._granted:
            self._waiting[key] = ask
            self._queues[ask.priority].append(key)

    def answered(self, key: AskKey) -> None:
        """The contact took the turn or withdrew."""
        self._granted.pop(key, None)
        self._waiting.pop(key, None)

    def hold(self, until_ms: int) -> None:
        """Twilio throttled: no grant before `until_ms`."""
        self.bucket.held_until_ms = max(self.bucket.held_until_ms, until_ms)

    def refused(self, now_ms: int, proof: Proof, code: int | None, *, begun_ms: int, probe: bool) -> bool:
        """Twilio refused the set-up: the lane stops. True if it went until now, and the attempt began since it last
        was mended."""
        if self.circuit is not None:
            self.circuit.refused(now_ms, proof, code, probe=probe)
            return False
        if begun_ms < self._mended_ms:
            return False
        self.circuit = CircuitBreaker(now_ms, proof, code, self._probe_after_ms)
        return True

    def undecided(self, now_ms: int) -> None:
        """A probe told nothing: the next one goes soon."""
        if self.circuit is not None:
            self.circuit.undecided(now_ms)

    def proved(self, at_ms: int) -> bool:
        """A probe came through: the lane goes. True if it was stopped until now. `at_ms`: log time of that word."""
        stopped, self.circuit = self.circuit is not None, None
        if stopped:
            self._mended_ms = at_ms
        return stopped

    def grants(self, now_ms: int, most: int = MANY) -> Iterator[PermitRequest]:
        """Turns that may go now, unanswered ones of `REGRANT_MS` ago among them (they took their tokens already).

        `most`: of turns granted and not answered, those of before included, as far as calls could follow.
        While the lane is stopped, one now and then: a probe, of what waits or else of what did not answer.
        """
        if self.circuit is not None:
            yield from self._probe(self.circuit, now_ms)
            return
        while self._again and self._again[0][0] <= now_ms:
            _, key = heapq.heappop(self._again)
            if (ask := self._granted.get(key)) is not None:
                heapq.heappush(self._again, (now_ms + REGRANT_MS, key))
                yield ask
        most = min(most, self._most_granted)
        while len(self._granted) < most and (priority := self._next()) is not None:
            ask = self._waiting[self._queues[priority][0]]
            if not self.bucket.take(ask.segments, now_ms):
                return
            self._grant(priority, now_ms)
            yield ask

    def _grant(self, priority: Priority, now_ms: int) -> None:
        key = self._queues[priority].popleft()
        if priority is not Priority.URGENT:
            self._turn = (self._turn + 1) % ROUND
        self._granted[key] = self._waiting.pop(key)
        heapq.heappush(self._again, (now_ms + REGRANT_MS, key))

    def _probe(self, circuit: CircuitBreaker, now_ms: int) -> Iterator[PermitRequest]:
        priority = self._next()
        ask = self._first(priority)
        if ask is None or now_ms < circuit.until_ms or not self.bucket.take(ask.segments, now_ms):
            return
        if priority is not None:
            self._grant(priority, now_ms)
        circuit.probed(now_ms)
        yield ask

    def _first(self, priority: Priority | None) -> PermitRequest | None:
        if priority is None:
            return next(iter(self._granted.values()), None)
        return self._waiting[self._queues[priority][0]]

    def next_at(self, now_ms: int, most: int = MANY) -> int | None:
        """When to ask `grants` again, None if only an ask or an answer can change anything. `most`: as for `grants`."""
        if self.circuit is not None:
            ask = self._first(self._next())
            return None if ask is None else max(self.circuit.until_ms, self.bucket.ready_at(ask.segments, now_ms))
        while self._again and self._again[0][1] not in self._granted:
            heapq.heappop(self._again)
        times = [self._again[0][0]] if self._again else []
        if len(self._granted) < self._most_granted and (priority := self._next()) is not None:
            ask = self._waiting[self._queues[priority][0]]
            held_back = len(self._granted) >= most
            times.append(now_ms + HELD_BACK_MS if held_back else self.bucket.ready_at(ask.segments, now_ms))
        return min(times, default=None)

    def _next(self) -> Priority | None:
        for queue in self._queues.values():
            while queue and queue[0] not in self._waiting:
                queue.popleft()
        urgent, normal, bulk = (self._queues[p] for p in (Priority.URGENT, Priority.NORMAL, Priority.BULK))
        if urgent:
            return Priority.URGENT
        if normal and (not bulk or self._turn < NORMAL_SHARE):
            return Priority.NORMAL
        return Priority.BULK if bulk else None
