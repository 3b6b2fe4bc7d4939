"""A queue behind each sender: texts leave it at the sender's rate in segments a second."""

from collections import OrderedDict

# Senders whose queue is remembered; the one that was used longest ago is forgotten first.
MOST = 100_000


class SenderQueues:
    """`free`: when each sender has sent all that it was given (unix seconds)."""

    def __init__(self) -> None:
        self._free: OrderedDict[str, float] = OrderedDict()

    def full(self, sender: str, now: float, seconds: float) -> bool:
        """Whether more than `seconds` of work wait."""
        return self._free.get(sender, 0.0) - now > seconds

    def enter(self, sender: str, segments: int, rate: float, now: float) -> float:
        """Queue a text of so many segments. When it leaves."""
        leaves = max(now, self._free.get(sender, 0.0))
        self._free[sender] = leaves + segments / rate
        self._free.move_to_end(sender)
        if len(self._free) > MOST:
            self._free.popitem(last=False)
        return leaves

    def clear(self) -> None:
        """Empty the queues of all senders."""
        self._free.clear()
