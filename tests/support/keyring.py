"""API keys of tests: of the form that is accepted, with entries in a store."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from app.config.api_key_store import change_entries
from app.config.api_keys import ApiKey, ApiKeys, Scope


def key_of(text: str) -> str:
    """A key whose id and secret are made of `text` (letters, 2 to 7), over and over."""
    return f"hg_{(text * 10)[:10]}_{(text * 52)[:52]}"


def api_key(key: str, tenant: str, scopes: Iterable[Scope] = Scope, **given: str) -> ApiKey:
    """The entry of a key in the store."""
    digest = hashlib.sha256(key.encode()).hexdigest()
    made = {"key_id": key.split("_")[1], "created_at": "2026-03-03T10:00:00.000Z", "sha256": digest, **given}
    return ApiKey(tenant=tenant, scopes=tuple(scopes), **made)


def store_of(path: Path, *entries: ApiKey) -> str:
    """The path of a store that holds these."""
    change_entries(path, lambda kept: (*kept, *entries))
    return str(path)


ACME_KEY, BETA_KEY, DEFAULT_KEY = key_of("acme"), key_of("beta"), key_of("default")
# The id of a key that there is, with another secret.
WRONG_KEY = ACME_KEY[:14] + "w" * 52
API_KEYS = ApiKeys([api_key(ACME_KEY, "acme"), api_key(BETA_KEY, "beta")])
