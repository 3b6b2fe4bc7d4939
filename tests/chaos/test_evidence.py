"""The harness reads idempotency keys where the product seals them."""

from pathlib import Path

import msgspec
import pytest

from app.domain.inputs import Input
from app.records.caller_fields import CallerFields, encode_caller_fields
from app.records.seal import Sealer
from ops.chaos import worker
from ops.chaos.evidence import Record, with_keys
from tests.support.commands import KEYS
from tests.support.given import CONTACT, MESSAGE, cancel, requested

SEALER = Sealer({"k1": bytes.fromhex("22" * 32)})


def sealed(key: str) -> Input:
    fields = SEALER.seal(encode_caller_fields(CallerFields(key)), "acme", MESSAGE)
    return msgspec.structs.replace(requested(), sealed_caller_fields=fields)


def record(given: Input) -> Record:
    raw = msgspec.json.encode(given)
    return Record(0, 0, 0, CONTACT, raw, msgspec.json.decode(raw))


def test_a_request_on_the_contact_log_is_known_by_its_idempotency_key_and_other_records_stay_as_they_are() -> None:
    other, foreign = record(cancel()), record(requested())
    asked, *rest = with_keys([record(sealed("k1")), other, foreign], SEALER)
    assert (asked.value or {})["idempotency_key"] == "k1" and rest == [other, foreign]


def test_a_trap_is_sprung_by_a_request_with_its_mark_while_it_is_armed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HELIOGRAPH_SEAL_KEYS", KEYS["HELIOGRAPH_SEAL_KEYS"])
    worker._sealer.cache_clear()
    trap, marked = tmp_path / "crash", msgspec.json.encode(sealed("crash-1"))
    assert not worker._springs(trap, marked)
    trap.touch()
    others = (msgspec.json.encode(sealed("crashed-1")), msgspec.json.encode(cancel()), None)
    assert worker._springs(trap, marked) and not any(worker._springs(trap, value) for value in others)
