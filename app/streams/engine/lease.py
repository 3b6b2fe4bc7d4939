"""The lease: until when the group cannot have given our partitions away.

The coordinator may do so no earlier than one session timeout after it received our last heartbeat, or the SyncGroup
request that ended a join; we stop acting 0.8 of that after we *sent* the last one it accepted. The boot clock goes on
while the process is stopped, so a paused former owner finds its lease expired before it does anything.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from app import clock
from app.streams.engine.process_exit import die

SHARE = 0.8


class Lease:
    """Asked before every Produce request (`hold`) and every outside call (`may_act`)."""

    def __init__(self, session_timeout_s: float, now: Callable[[], float] = clock.boot_s) -> None:
        self.length_s = session_timeout_s * SHARE
        self._now, self._sent_s, self._joining_s, self._member = now, 0.0, 0.0, ""
        self._coordinator: Any = None
        self.enforced = True

    def attach(self, coordinator: Any) -> None:
        """Watch the heartbeats and joins of an aiokafka group coordinator (private names `_do_heartbeat`, `_send_req`).
        Call before the group is joined."""
        self._coordinator, inner, send = coordinator, coordinator._do_heartbeat, coordinator._send_req

        async def heartbeat() -> Any:
            sent = self._now()
            accepted = await inner()
            if accepted:
                self._sent_s = sent
            return accepted

        async def request(request: Any) -> Any:
            if type(request).__name__.startswith("SyncGroup"):
                self._joining_s = self._now()
            return await send(request)

        coordinator._do_heartbeat, coordinator._send_req = heartbeat, request

    def joined(self, member_id: str) -> None:
        """A rebalance ended with us in the group: the lease counts from when we sent the SyncGroup request that brought
        our partitions. Under another member id we had been expelled: our memory is stale."""
        if self._member and self._member != member_id:
            die("expelled from the consumer group and rejoined")
        self._member, self._sent_s = member_id, max(self._sent_s, self._joining_s)

    def left_s(self) -> float:
        """Seconds of lease left; negative when it is over."""
        return self._sent_s + self.length_s - self._now()

    def may_act(self) -> bool:
        """Whether nobody else can own our partitions now."""
        if not self.enforced:
            return True
        c = self._coordinator
        return bool(c is not None and self.left_s() > 0 and c.generation >= 0 and not c._rejoin_needed_fut.done())

    async def hold(self) -> None:
        """Sit out a broker's absence; end the process if the group went on without us."""
        while self.enforced and self._sent_s and self.left_s() <= 0:
            if self._coordinator.generation < 0:
                die("membership of the consumer group is lost")
            await asyncio.sleep(0.02)
