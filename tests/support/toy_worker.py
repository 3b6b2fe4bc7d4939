"""A worker with one simple agent, run as its own process by the broker tests. Settings: JSON in TOY.

Rows are `watermark|count|value`; each input gives one output. What the body does is written to a side log that survives
kill -9 (O_APPEND): fold, settled, assigned.
"""

import asyncio
import ctypes
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from app import telemetry
from app.streams.engine.agent import FoldScope, Input, Output, TableSpec, UnreadableRecordError
from app.streams.engine.app import EngineConfig, Runtime, Transport, run
from app.streams.engine.consumer import Consumer

TOY = json.loads(os.environ["TOY"])
PREFIX = TOY["prefix"]
side = os.open(TOY["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)


def note(*words: object) -> None:
    os.write(side, (" ".join(map(str, (TOY["name"], *words))) + "\n").encode())


def segmentation_fault() -> None:
    ctypes.string_at(0)


# What a record does to the process that folds it.
DEADLY: dict[bytes, Callable[[], object]] = {b"segv": segmentation_fault, b"exit": lambda: os._exit(1)}


class Toy:
    name = "toy"
    rest_s = 0.0
    background = False
    topic = PREFIX + "in"
    tables = (TableSpec("state", bytes, bytes, lambda row: int(row.split(b"|")[0]), vital=True),)

    def row_keys(self, record: Input) -> Sequence[tuple[str, bytes]]:
        return (("state", record.key or b""),)

    def fold(self, record: Input, scope: FoldScope) -> None:
        value = record.value or b""
        if record.headers:
            texts = [[name, None if text is None else text.decode()] for name, text in record.headers]
            note("headers", value.decode(), json.dumps(texts))
        if value == b"unreadable":
            raise UnreadableRecordError("value", "is not for us")
        if value == b"raise":
            raise RuntimeError("a fault of ours")
        if value in DEADLY:
            note("dies", record.partition, record.offset)
            DEADLY[value]()
        old = scope.get("state", record.key)
        watermark, count = (int(old.split(b"|")[0]), int(old.split(b"|")[1])) if old else (-1, 0)
        if record.offset <= watermark and not TOY.get("unguarded"):
            return
        if TOY.get("slow_ms"):
            time.sleep(TOY["slow_ms"] / 1000)  # a body that takes time, on purpose
        if value == b"drop":
            scope.drop("state", record.key)
            return
        pad = b"x" * TOY["big"] if TOY.get("big") and int(value) % 50 == 7 else b""
        scope.put("state", record.key, b"%d|%d|%s" % (record.offset, count + 1, value + pad))
        scope.emit(Output(PREFIX + "out", record.key, value + b"|" + TOY["name"].encode(), record.partition))

    def frozen(self, record: Input, scope: FoldScope, error: Exception) -> None:
        note("frozen", record.partition, record.offset)

    def set_aside(self, record: Input, scope: FoldScope) -> None:
        note("set_aside", record.partition, record.offset)

    def dead_letter(self, record: Input, field: str, rule: str) -> Output:
        return Output(PREFIX + "dead", record.key, f"{field}:{rule}".encode(), record.partition)

    def tick(self, partition: int, scope: FoldScope) -> None:
        pass

    def settled(self, partition: int, changed: Mapping[str, Mapping[bytes, Any]]) -> None:
        note("settled", partition, len(changed["state"]), int(runtime.engine.lease.may_act()))

    def assigned(self, partition: int, rows: Mapping[str, Iterable[tuple[bytes, Any]]]) -> None:
        note("assigned", partition, sum(1 for _ in rows["state"]), time.time())

    def revoked(self, partition: int) -> None:
        note("revoked", partition)


def config() -> EngineConfig:
    return EngineConfig(
        app_id=PREFIX + "app",
        servers=TOY["servers"],
        data_dir=Path(TOY["data"]),
        partitions=TOY.get("partitions", 4),
        session_timeout_s=TOY.get("session_s", 6.0),
        commit_interval_s=TOY.get("commit_s", 0.5),
        stall_timeout_s=TOY.get("stall_s", 30.0),
        slice_records=TOY.get("slice_records", 100),
        positions=TOY.get("positions", PREFIX + "app-positions"),
        unsafe=frozenset(TOY.get("unsafe", ())),
    )


class SlowSeek(Consumer):
    """The coordinator's answers take their time: sources flow for a while before they are sought."""

    async def perform_seek(self) -> None:
        await asyncio.sleep(TOY["slow_seek_s"])  # the latency that is injected
        await super().perform_seek()


class StuckRestore(Consumer):
    """A recovery that stands still."""

    async def _restore(self, recovery: Any, tp: Any, records: list[Any]) -> None:
        note("stuck", tp.partition)
        await asyncio.Event().wait()


class NoEnd(Consumer):
    """Its thread waits for something that does not come."""

    def _new_consumer_thread(self) -> Any:
        thread = super()._new_consumer_thread()
        thread.on_thread_stop = asyncio.Event().wait
        return thread


async def hang(outputs: Iterable[Output]) -> None:
    """An acknowledgement that never comes."""
    await asyncio.Event().wait()


async def main() -> None:
    global runtime
    if TOY.get("slow_seek_s"):
        Transport.Consumer = SlowSeek
    if TOY.get("stuck_restore"):
        Transport.Consumer = StuckRestore
    if TOY.get("no_end"):
        Transport.Consumer = NoEnd
    if TOY.get("thread_left"):
        threading.Thread(target=threading.Event().wait, name="left").start()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    runtime = Runtime(config(), lambda: [Toy()])
    if TOY.get("hang"):
        runtime.producer.send_all = hang
    await runtime.run(stop)


if __name__ == "__main__":
    telemetry.configure("info")
    run(main)
    sys.exit(0)
