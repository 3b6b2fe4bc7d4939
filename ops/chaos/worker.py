"""`python -m ops.chaos.worker worker --json`: the product's worker, with faults that a run plants in it.

CHAOS_PLANT names a planted fault (see `plant`). CHAOS_TRAPS names a directory: while it holds a file with the name of a
trap, each `contact.requested.v1` record with the trap's mark in its idempotency key springs it. CHAOS_CLOCK names a
file of 8 bytes: by so many ns (little-endian, signed) the wall clock of this process is off.
"""

import ctypes
import mmap
import os
import struct
import time
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from app.config.settings import Settings
from app.records.caller_fields import open_caller_fields
from app.records.seal import Sealer, UnsealError
from app.streams.agents import contact_fold
from app.streams.engine.agent import Output

# A name is the file that arms the trap; in an idempotency key it is followed by "-".
CRASH, REFUSED_OUTPUT = "crash", "refused_output"
# More than the broker takes (message.max.bytes).
REFUSED_BYTES = 5 << 20


def step_clock(file: Path) -> None:
    """From now on `time.time` and `time.time_ns` are off by what the file holds."""
    with file.open("r+b") as opened:
        held = mmap.mmap(opened.fileno(), 8, access=mmap.ACCESS_READ)
    inner = time.time_ns

    def time_ns() -> int:
        return inner() + int(struct.unpack_from("<q", held)[0])

    time.time_ns = time_ns
    time.time = lambda: time_ns() / 1e9


def install(directory: Path) -> None:
    """Lay both traps in this process."""
    _lay_crash(directory / CRASH)
    _lay_refused_output(directory / REFUSED_OUTPUT)


def _lay_crash(file: Path) -> None:
    """Decoding a marked record crashes the interpreter."""
    inner = contact_fold.decode  # type: ignore[attr-defined] # the place where the fold calls it

    def decode(decoder: Any, value: bytes | None) -> Any:
        if _springs(file, value):
            ctypes.string_at(0)
        return inner(decoder, value)

    contact_fold.decode = decode  # type: ignore[attr-defined]


def _lay_refused_output(file: Path) -> None:
    """Folding a marked record makes an output that Kafka refuses."""
    inner = contact_fold.ContactFold.fold

    def fold(self: Any, record: Any, scope: Any) -> None:
        inner(self, record, scope)
        if _springs(file, record.value):
            scope.emit(Output(record.topic, record.key, bytes(REFUSED_BYTES), record.partition))

    contact_fold.ContactFold.fold = fold  # type: ignore[method-assign]


def _springs(file: Path, value: bytes | None) -> bool:
    if value is None or b'"type":"contact.requested.v1"' not in value or not file.exists():
        return False
    return _idempotency_key(msgspec.json.decode(value)).startswith(f"{file.name}-")


def _idempotency_key(value: dict[str, Any]) -> str:
    """Of the request that a record of topic contacts is; "" of any other record."""
    sealed, tenant, message = (str(value.get(name, "")) for name in ("sealed_caller_fields", "tenant", "message_id"))
    try:
        return open_caller_fields(_sealer(), sealed, tenant, message).idempotency_key
    except UnsealError:
        return ""


@cache
def _sealer() -> Sealer:
    return Sealer(Settings.read(dict(os.environ)).seal_keys)


def main() -> None:
    """Plant what the environment names, and run the command."""
    from app import telemetry
    from app.__main__ import main as run  # type: ignore[attr-defined]
    from ops.chaos.plant import PLANTS

    telemetry.configure("info")  # the first line on stdout belongs to the worker
    install(Path(os.environ["CHAOS_TRAPS"]))
    step_clock(Path(os.environ["CHAOS_CLOCK"]))
    if name := os.environ.get("CHAOS_PLANT"):
        PLANTS[name].patch()
    run()


if __name__ == "__main__":
    main()
