"""Keys of the API and their store: what is kept, what is refused, and that no writer undoes another."""

import hashlib
import os
import stat
import threading
from functools import partial
from pathlib import Path

import msgspec
import pytest

from app import clock
from app.config.api_key_store import ApiKeyFileError, ApiKeyStore, change_entries, read_entries
from app.config.api_keys import ApiKey, ApiKeys, Scope, faults_of, generate
from tests.support.keyring import ACME_KEY, BETA_KEY, WRONG_KEY, api_key, store_of

NOW = 1_772_532_000_000  # 2026-03-03T10:00:00Z
ENTRY = api_key(ACME_KEY, "acme")


def test_a_key_is_256_bits_of_chance_of_which_only_a_hash_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(os, "urandom", lambda count: asked.append(count) or bytes(count))
    entry, key = generate("acme", [Scope.SEND])
    assert asked == [10, 32] and entry.sha256 == hashlib.sha256(key.reveal().encode()).hexdigest()
    assert key.reveal().rpartition("_")[2] not in msgspec.json.encode(entry).decode() and str(key) == "***"


def test_a_key_is_found_by_all_of_it_and_by_nothing_less() -> None:
    made = [generate("acme", [Scope.SEND]) for _ in range(3)]
    keys = ApiKeys([entry for entry, _ in made])
    assert [keys.find(key.reveal()) for _, key in made] == [entry for entry, _ in made]
    whole = made[0][1].reveal()
    for other in ("", whole[:-1], whole + "a", whole.upper(), f" {whole}", f"{whole}\n", made[0][0].sha256, WRONG_KEY):
        assert keys.find(other) is None


@pytest.mark.parametrize("weak", ["a", "key-of-acme", "hg_" + "a" * 10 + "_a"])
def test_a_hash_made_by_hand_admits_no_weak_key(weak: str) -> None:
    entry = msgspec.structs.replace(ENTRY, key_id="a" * 10, sha256=hashlib.sha256(weak.encode()).hexdigest())
    assert ApiKeys([entry]).find(weak) is None


@pytest.mark.parametrize(
    ("given", "refusal"),
    [
        ({}, ""),
        ({"expires_at": "2026-03-03T10:00:00.001Z"}, ""),
        ({"expires_at": "2026-03-03T10:00:00.000Z"}, "the key has expired"),
        ({"expires_at": "2027-01-01T00:00:00.000Z", "revoked_at": "2026-03-01T00:00:00.000Z"}, "the key was revoked"),
    ],
)
def test_a_key_is_refused_from_its_expiry_on_and_once_it_was_revoked(given: dict[str, str], refusal: str) -> None:
    assert clock.iso(NOW) == "2026-03-03T10:00:00.000Z"
    assert api_key(ACME_KEY, "acme", **given).refusal(NOW) == refusal


BROKEN: dict[str, tuple[list[ApiKey], str]] = {
    "the same key for two tenants": (
        [ENTRY, msgspec.structs.replace(ENTRY, key_id="b" * 10, tenant="beta")],
        f"{ENTRY.key_id}, {'b' * 10}: have the same hash; revoke them and create new keys",
    ),
    "an id twice": (
        [ENTRY, api_key(BETA_KEY, "beta", key_id=ENTRY.key_id)],
        f"{ENTRY.key_id}, {ENTRY.key_id}: have the same key id; revoke them and create new keys",
    ),
    "no scope": (
        [api_key(ACME_KEY, "acme", [])],
        f"{ENTRY.key_id}: scopes must hold at least one of send, cancel, read, consent, admin",
    ),
    "a plain key": (
        [api_key(ACME_KEY, "acme", sha256="key-of-acme")],
        f"{ENTRY.key_id}: sha256 must be 64 hex digits: keys are made by heliograph keys api create",
    ),
    "an id of another form": (
        [api_key(ACME_KEY, "acme", key_id="acme")],
        "acme: key_id must be 10 characters of base32",
    ),
    "a time of another form": (
        [api_key(ACME_KEY, "acme", expires_at="2027")],
        f"{ENTRY.key_id}: expires_at must be as 2026-03-03T10:00:00.000Z",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_faulty_entry_is_named_with_its_rule(name: str) -> None:
    entries, fault = BROKEN[name]
    assert faults_of(entries) == [fault]
    assert faults_of([ENTRY, api_key(BETA_KEY, "beta")]) == []


REVOKED = msgspec.structs.replace(ENTRY, revoked_at="2026-03-04T00:00:00.000Z")
GONE = api_key(BETA_KEY, "gone")


def loaded(path: Path, *entries: ApiKey) -> ApiKeyStore:
    change_entries(path, lambda _: entries)
    store = ApiKeyStore(path)
    assert store.load({"acme"}) == []
    return store


def test_a_key_of_a_tenant_that_is_gone_is_left_out_and_named_and_holds_up_no_revocation(tmp_path: Path) -> None:
    store = loaded(tmp_path / "keys.json", ENTRY, GONE)
    assert (store.keys.find(ACME_KEY), store.keys.find(BETA_KEY)) == (ENTRY, None)
    why = f"there is no tenant gone: heliograph keys api revoke {GONE.key_id}"
    assert store.warnings() == [f"key {GONE.key_id} is left out: {why}"]
    change_entries(store.path, lambda _: (REVOKED, GONE))
    assert store.load({"acme"}) == [] and store.keys.find(ACME_KEY) == REVOKED


def test_of_a_revoked_key_that_outlives_its_tenant_nobody_is_warned(tmp_path: Path) -> None:
    revoked = msgspec.structs.replace(GONE, revoked_at=REVOKED.revoked_at)
    assert loaded(tmp_path / "keys.json", ENTRY, revoked).warnings() == []


def test_a_store_that_is_gone_at_a_reload_takes_no_key_back(tmp_path: Path) -> None:
    store = loaded(tmp_path / "keys.json", ENTRY)
    store.path.unlink()
    for _ in range(2):
        assert store.load({"acme"}) == [
            f"HELIOGRAPH_API_KEY_STORE: {store.path}: is gone; the keys read from it before stay in force"
        ]
    assert store.keys.find(ACME_KEY) == ENTRY


def test_a_store_that_never_was_there_may_come_later(tmp_path: Path) -> None:
    store = ApiKeyStore(tmp_path / "keys.json")
    assert [store.load({"acme"}) for _ in range(2)] == [[], []] and not store.exists
    store_of(store.path, ENTRY)
    assert store.load({"acme"}) == [] and store.keys.find(ACME_KEY) == ENTRY


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_what_others_may_write_is_no_store_and_revokes_nothing(tmp_path: Path, mode: int) -> None:
    store = loaded(tmp_path / "keys.json", ENTRY)
    change_entries(store.path, lambda _: (REVOKED,))
    store.path.chmod(mode)
    [fault] = store.load({"acme"})
    assert f"has mode {mode:03o}, group or others may write it" in fault and store.keys.find(ACME_KEY) == ENTRY
    with pytest.raises(ApiKeyFileError):
        change_entries(store.path, lambda kept: kept)


UNREADABLE: list[object] = ["text", {"key_id": "b" * 10, "scopes": ["all"]}, {"key_id": 7, "revoked_at": "now"}]


@pytest.mark.parametrize("other", [*UNREADABLE, msgspec.to_builtins(REVOKED)])
def test_a_revocation_counts_whatever_the_other_entries_are(tmp_path: Path, other: object) -> None:
    """The other one is not a key, has an unknown scope, a field of another type, or the same id and hash."""
    store = loaded(tmp_path / "keys.json", ENTRY, api_key(BETA_KEY, "acme"))
    store.path.write_bytes(msgspec.json.encode({"keys": [other, msgspec.to_builtins(REVOKED)]}))
    assert store.load({"acme"}) != [] and store.keys.find(ACME_KEY) == REVOKED
    assert store.keys.find(BETA_KEY) == api_key(BETA_KEY, "acme")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{", "is not a store of API keys: "),
        ('{"version":2}', "has version 2, this build reads 1"),
        ('{"keys":[{"key_id":"a","tenant":"a","scopes":["all"],"sha256":"","created_at":""}]}', "'all' - at `$.keys"),
        ('{"keys":["a"]}', "Expected `object`, got `str` - at `$.keys[0]`"),
    ],
)
def test_a_store_that_cannot_be_read_says_why_and_leaves_the_keys_in_force(
    tmp_path: Path, text: str, fault: str
) -> None:
    path = tmp_path / "keys.json"
    change_entries(path, lambda _: (ENTRY,))
    store = ApiKeyStore(path)
    assert store.load({"acme"}) == []
    path.write_text(text)
    [told] = store.load({"acme"})
    assert told.startswith(f"HELIOGRAPH_API_KEY_STORE: {path}: ") and fault in told
    assert store.keys.find(ACME_KEY) == ENTRY


def test_the_store_is_for_its_owner_alone_and_no_reader_sees_half_of_it(tmp_path: Path) -> None:
    path = tmp_path / "made" / "keys.json"
    assert read_entries(path) == ()
    change_entries(path, lambda _: (ENTRY,))
    path.chmod(0o644)
    with path.open() as reader:
        change_entries(path, lambda kept: (*kept, api_key(BETA_KEY, "beta")))
        assert BETA_KEY.split("_")[1] not in reader.read()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.tenant for entry in read_entries(path)] == ["acme", "beta"]
    assert list(path.parent.iterdir()) == [path]


def test_a_change_that_fails_leaves_the_store_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    change_entries(path, lambda _: (ENTRY,))
    with pytest.raises(ZeroDivisionError):
        change_entries(path, lambda _: 1 // 0)  # type: ignore[arg-type, return-value]
    assert read_entries(path) == (ENTRY,)
    with pytest.raises(ApiKeyFileError):
        change_entries(path / "below", lambda kept: kept)


def with_entry(entry: ApiKey, kept: tuple[ApiKey, ...]) -> tuple[ApiKey, ...]:
    return (*kept, entry)


def test_no_writer_undoes_another(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"

    def write(writer: int) -> None:
        for n in range(10):
            entry = msgspec.structs.replace(ENTRY, name=f"{writer}-{n}")
            change_entries(path, partial(with_entry, entry))

    writers = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert {entry.name for entry in read_entries(path)} == {f"{w}-{n}" for w in range(4) for n in range(10)}
