"""The traps in the harness's own worker know their requests where the product seals the idempotency key."""

from pathlib import Path

import msgspec
import pytest

from app.records.caller_fields import CallerFields, encode_caller_fields
from app.records.seal import Sealer
from ops.chaos import worker
from tests.support.commands import KEYS
from tests.support.given import MESSAGE, cancel, requested

SEALER = Sealer({"k1": bytes.fromhex("22" * 32)})


def asked(key: str) -> bytes:
    fields = SEALER.seal(encode_caller_fields(CallerFields(key)), "acme", MESSAGE)
    return msgspec.json.encode(msgspec.structs.replace(requested(), sealed_caller_fields=fields))


def test_a_trap_is_sprung_by_a_request_with_its_mark_while_it_is_armed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HELIOGRAPH_SEAL_KEYS", KEYS["HELIOGRAPH_SEAL_KEYS"])
    worker._sealer.cache_clear()
    trap, marked = tmp_path / "crash", asked("crash-1")
    assert not worker._springs(trap, marked)
    trap.touch()
    others = (asked("crashed-1"), msgspec.json.encode(cancel()), msgspec.json.encode(requested()), None)
    assert worker._springs(trap, marked) and not any(worker._springs(trap, value) for value in others)
    worker._sealer.cache_clear()
