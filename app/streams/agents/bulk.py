"""Agent `bulk`: expands the requests of many recipients that intake parked, at a pace that leaves room for the rest."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from app import clock
from app.records.bulk import BulkParked, decoder, open_record
from app.records.codec import InvalidFieldError as BadRecord
from app.records.codec import decode
from app.records.requests import NotifyCanceled
from app.records.seal import UnsealError
from app.streams.agents.expansion import RequestExpansion
from app.streams.engine.agent import FoldScope, Input, TableSpec, UnreadableRecordError

# One wait is asked for in pieces no longer than this, seconds.
PIECE_S = 1.0
# While other work waits, a step waits so long for it to be done, in such pieces. Then it goes on regardless: parked
# messages have deadlines too, and a worker that is always busy must not starve them.
YIELD_S, PATIENCE_S = 0.1, 2.0
# How long a partition is not fetched before it is seen whether what was fetched is done.
REST_S = 0.25


class BulkPacer:
    """A token bucket over recipients for all `bulk` partitions of a process. Its capacity is one step.

    `rate`: recipients per second, 0: no limit; `behind`: whether other work waits; `now_s`: boot clock, seconds.
    """

    def __init__(self, rate: float, now_s: Callable[[], float] = clock.boot_s) -> None:
        self._rate, self._now_s = rate, now_s
        self._next_s = 0.0
        self.behind: Callable[[], bool] = lambda: False

    def waits(self, recipients: int) -> Iterator[float]:
        """Take tokens for a step of so many recipients; yields the waits before it in seconds, at least one (of 0).

        Their number does not depend on the clock: one who does not wait is not kept.
        """
        left = self._take(recipients)
        while left > PIECE_S:
            yield PIECE_S
            left -= PIECE_S
        yield left
        for _ in range(round(PATIENCE_S / YIELD_S)):
            if not self.behind():
                return
            yield YIELD_S

    def _take(self, recipients: int) -> float:
        """Seconds until the step may begin."""
        if not self._rate:
            return 0.0
        now = self._now_s()
        begins = max(now, self._next_s)
        self._next_s = begins + recipients / self._rate
        return begins - now


class BulkAgent:
    """Stateless, as intake: a record that is read again gives inputs that the fold knows as repeats."""

    name = "bulk"
    rest_s = REST_S
    background = True
    tables: Sequence[TableSpec[Any]] = ()

    def __init__(self, topic: str, expansion: RequestExpansion, pacer: BulkPacer) -> None:
        self.topic, self._expansion, self._pacer = topic, expansion, pacer
        self.dead_letter = expansion.context.dead_letter

    def row_keys(self, record: Input) -> Sequence[tuple[str, bytes]]:
        return ()

    def fold(self, record: Input, scope: FoldScope) -> Iterator[float]:
        """Expand one parked request; yields how long to wait before each step, seconds.

        Raises Unreadable for a record that intake did not write, or that is sealed by a key that is not here.
        """
        parked, original = self._original(record)
        expansion = self._expansion.read(original, parked.tenant)
        if isinstance(expansion, NotifyCanceled):
            raise UnreadableRecordError("payload", "is no request of recipients")
        return self._paced(self._expansion.steps(expansion, scope))

    def _paced(self, steps: Iterator[int]) -> Iterator[float]:
        for recipients in steps:
            yield from self._pacer.waits(recipients)

    def _original(self, record: Input) -> tuple[BulkParked, Input]:
        """What was parked, and the request's record as intake read it."""
        try:
            parked: BulkParked = decode(decoder, record.value)
            key, value, headers = open_record(self._expansion.context.sealer, parked)
        except BadRecord as bad:
            raise UnreadableRecordError(bad.field, bad.rule) from None
        except UnsealError:
            raise UnreadableRecordError("payload", "is not sealed by a known key for this tenant and id") from None
        return parked, Input(parked.topic, parked.partition, parked.offset, parked.at, key, value, headers)

    def set_aside(self, record: Input, scope: FoldScope) -> None:
        """The dead letter is all there is to keep."""

    def frozen(self, record: Input, scope: FoldScope, error: Exception) -> None:
        """No row to freeze: the dead letter is all there is to keep."""

    def tick(self, partition: int, scope: FoldScope) -> None:
        """Nothing is held back between cycles."""

    def settled(self, partition: int, changed: Mapping[str, Mapping[bytes, Any | None]]) -> None:
        """This agent has no effects."""

    def assigned(self, partition: int, rows: Mapping[str, Any]) -> None:
        """This agent has no rows."""

    def revoked(self, partition: int) -> None:
        """Nothing to let go."""
