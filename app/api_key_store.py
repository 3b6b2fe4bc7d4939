"""The store of API keys: one JSON file of hashes, written at once by one writer at a time, read again at SIGHUP."""

import fcntl
import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from app.api_keys import ApiKey, ApiKeys, faults_of

VERSION = 1


class ApiKeyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of the file."""

    version: int = VERSION
    keys: tuple[ApiKey, ...] = ()


class ApiKeyFileError(Exception):
    """The store cannot be read or written; the text says why, and names the entry and field."""


def read_entries(path: Path) -> tuple[ApiKey, ...]:
    """Every entry; none where there is no file yet. Raises ApiKeyFileError."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise ApiKeyFileError(str(error.strerror)) from None
    try:
        read = msgspec.json.decode(content, type=ApiKeyFile)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ApiKeyFileError(f"is not a store of API keys: {error}") from None
    if read.version != VERSION:
        raise ApiKeyFileError(f"has version {read.version}, this build reads {VERSION}")
    return read.keys


def change_entries(path: Path, change: Callable[[tuple[ApiKey, ...]], tuple[ApiKey, ...]]) -> tuple[ApiKey, ...]:
    """Replace the entries by what `change` makes of them, durably and at once; what stands there now is returned.

    A second writer waits for the first. What `change` raises is passed on, and leaves the file as it was. Raises
    ApiKeyFileError.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path.parent) as directory:
            entries = change(read_entries(path))
            _replace(path, msgspec.json.format(msgspec.json.encode(ApiKeyFile(keys=entries))), directory)
            return entries
    except OSError as error:
        raise ApiKeyFileError(str(error.strerror)) from None


@contextmanager
def _locked(directory: Path) -> Iterator[int]:
    """The directory, open and locked. The file itself cannot bear the lock: it is another one after each change."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield fd
    finally:
        os.close(fd)


def _replace(path: Path, content: bytes, directory: int) -> None:
    """Of mode 600. Written as root it belongs to whom its directory belongs, which is who reads it."""
    aside = path.with_name(f"{path.name}.new")
    fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "wb") as file:
        os.fchmod(fd, 0o600)
        if os.geteuid() == 0:
            owner = os.fstat(directory)
            os.fchown(fd, owner.st_uid, owner.st_gid)
        file.write(content + b"\n")
        file.flush()
        os.fsync(fd)
    aside.replace(path)
    os.fsync(directory)


class ApiKeyStore:
    """The keys of one running process. `keys`: as they were read last without a fault."""

    def __init__(self, path: Path) -> None:
        self.path, self.keys = path, ApiKeys()

    def load(self, tenants: Collection[str]) -> list[str]:
        """Read the file; returns every fault of it, by which `keys` stay as they are."""
        try:
            entries = read_entries(self.path)
        except ApiKeyFileError as error:
            return [f"HELIOGRAPH_API_KEY_STORE: {self.path}: {error}"]
        faults = [f"HELIOGRAPH_API_KEY_STORE: {self.path}: {fault}" for fault in faults_of(entries, tenants)]
        if not faults:
            self.keys = ApiKeys(entries)
        return faults
