"""Reads `notify.metrics` in a consumer group, commits after folding in.

A first start begins at the end of the topic: what happened before is history that no counter can tell.
"""

import asyncio
from typing import Any

from aiokafka import AIOKafkaConsumer

from app import clock, telemetry
from app.bridge.counters import Counters
from app.records.codec import Unreadable, decode
from app.records.metrics import decoder

log = telemetry.logger(__name__)


class Reader:
    """Runs until cancelled."""

    def __init__(self, topic: str, group: str, counters: Counters, client: dict[str, Any]) -> None:
        self._counters, self.read_ms = counters, clock.now_ms()
        self._consumer = AIOKafkaConsumer(
            topic, group_id=group, enable_auto_commit=False, auto_offset_reset="latest", **client
        )

    async def start(self) -> None:
        """Join the group and take positions, so that nothing produced from here on is missed."""
        try:
            await self._consumer.start()
        except BaseException:
            await self._consumer.stop()
            raise
        while not self._consumer.assignment():
            await asyncio.sleep(0.05)
        for where in self._consumer.assignment():
            await self._consumer.position(where)
        await self._consumer.commit()

    async def run(self) -> None:
        """Fold, then commit."""
        while True:
            batches = await self._consumer.getmany(timeout_ms=1000)
            for records in batches.values():
                for record in records:
                    self._fold(record)
            if batches:
                await self._consumer.commit()
            self.read_ms = clock.now_ms()

    def _fold(self, record: Any) -> None:
        if record.value is None:
            return
        try:
            self._counters.fold(decode(decoder, record.value))
        except Unreadable as bad:
            self._counters.unknown += 1
            log.warning("metric.unreadable", field=bad.field, rule=bad.rule, offset=record.offset)

    async def stop(self) -> None:
        """Leave the group."""
        await self._consumer.stop()
