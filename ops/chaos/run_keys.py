"""The keys of a run: seal keys, the pseudonym key, and a bearer key of each tenant."""

from functools import cached_property
from pathlib import Path

import orjson

from app.config.api_key_store import change_entries
from app.config.api_keys import Scope, generate
from app.dev import process_env
from ops.chaos.tenants_file import LANES

SEAL_KEYS = "HELIOGRAPH_SEAL_KEYS"


class RunKeys:
    """Kept in `directory`; `store`: the file of hashes of the bearer keys, which the ingress reads."""

    def __init__(self, directory: Path) -> None:
        self._file, self.store = directory / "keys.json", directory / "api-keys.json"

    @cached_property
    def api_keys(self) -> dict[str, str]:
        """The bearer key of each tenant, made when first asked for."""
        return {name: self._made(name) for name in LANES}

    def _made(self, tenant: str) -> str:
        entry, key = generate(tenant, Scope, name="chaos")
        change_entries(self.store, lambda entries: (*entries, entry))
        return key.reveal()

    def environment(self) -> dict[str, str]:
        """As settings of the product."""
        return {**process_env.keys(self._file, {}), "HELIOGRAPH_API_KEY_STORE": str(self.store)}

    @property
    def seal_keys(self) -> list[str]:
        """Each as name:key; the first seals."""
        return self.environment()[SEAL_KEYS].split(",")

    @seal_keys.setter
    def seal_keys(self, keys: list[str]) -> None:
        kept = process_env.keys(self._file, {}) | {SEAL_KEYS: ",".join(keys)}
        self._file.write_bytes(orjson.dumps(kept))
