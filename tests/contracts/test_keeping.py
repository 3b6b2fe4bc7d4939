"""The seal and the journal against crashes and strangers; settings and error classes."""

import asyncio
from pathlib import Path

import pytest

from app.config.settings import Settings, SettingsError
from app.durable import journal as journals
from app.durable.journal import Journal
from app.provider.status_mapping import error_class
from app.records.seal import Sealer, UnsealError


def test_what_is_sealed_opens_only_for_its_tenant_and_subject_and_key():
    sealer = Sealer({"k1": b"1" * 32})
    sealed = sealer.seal(b"text", "acme", "m1")
    assert sealer.open(sealed, "acme", "m1") == b"text"
    assert Sealer({"k2": b"2" * 32, "k1": b"1" * 32}).open(sealed, "acme", "m1") == b"text"
    for other in ((sealer, "evil", "m1"), (sealer, "acme", "m2"), (Sealer({"k1": b"9" * 32}), "acme", "m1")):
        with pytest.raises(UnsealError):
            other[0].open(sealed, *other[1:])


def test_p4_the_journal_keeps_answers_over_a_crash_and_drops_a_torn_last_entry(tmp_path):
    path = tmp_path / "journal"

    async def write() -> None:
        journal = Journal(path)
        await asyncio.gather(*(journal.keep(f"a{n}", b"v%d" % n) for n in range(5)))
        journal.done("a3")
        journal.close()

    asyncio.run(write())
    path.write_bytes(path.read_bytes() + b"\x10\x00\x00\x00torn")
    again = Journal(path)
    assert dict(again.pending()) == {"a0": b"v0", "a1": b"v1", "a2": b"v2", "a4": b"v4"}
    again.close()


def test_p4_the_journal_is_rewritten_while_answers_are_open_and_a_crash_in_the_middle_loses_none(tmp_path, monkeypatch):
    """A worker that always has an open answer must not fill the disk."""
    monkeypatch.setattr(journals, "COMPACT_BYTES", 2000)
    path = tmp_path / "journal"

    async def write() -> None:
        journal = Journal(path)
        await journal.keep("open", b"still")
        for n in range(200):
            await journal.keep(f"a{n}", b"v" * 50)
            journal.done(f"a{n}")
            assert path.stat().st_size < 5000
        with monkeypatch.context() as patch, pytest.raises(OSError):
            patch.setattr(Path, "rename", crash)
            journal._rewrite()

    def crash(*_: object) -> None:
        raise OSError

    asyncio.run(write())
    assert [entry for entry, _ in Journal(path).pending()] == ["open"]


def test_an_unlisted_code_is_unknown_and_listed_ones_have_their_class():
    assert error_class(21610).value == "opted_out"
    assert error_class(20429).value == "throttled"
    assert error_class(99999).value == "unknown"
    assert error_class(None, 429).value == "throttled"


def test_every_fault_of_the_settings_is_listed_at_once():
    env = {"HELIOGRAPH_RATE": "fast", "HELIOGRAPH_PARTITONS": "8", "PORT": "99999", "HELIOGRAPH_PSEUDONYM_KEY": "short"}
    with pytest.raises(SettingsError) as bad:
        Settings.read(env)
    text = "\n".join(bad.value.faults)
    assert all(name in text for name in env)
    assert "did you mean HELIOGRAPH_PARTITIONS" in text and "short" not in text


def test_a_secret_hides_itself():
    settings = Settings.read({"TWILIO_AUTH_TOKEN": "topsecret"})
    assert "topsecret" not in repr(settings) and "topsecret" not in f"{settings.auth_tokens[0]}"
    assert settings.auth_tokens[0].reveal() == "topsecret"
