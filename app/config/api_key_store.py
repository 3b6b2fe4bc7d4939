"""The store of API keys: one JSON file of hashes, written at once by one writer at a time, read again at SIGHUP."""

import fcntl
import os
import stat
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from app.config.api_keys import ApiKey, ApiKeys, faults_of, is_stale
from app.errors import HeliographError

VERSION = 1
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class ApiKeyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of the file."""

    version: int = VERSION
    keys: tuple[ApiKey, ...] = ()


class ApiKeyFileError(HeliographError):
    """The store cannot be read or written; the text says why, and names the entry and field."""


class _Revocation(msgspec.Struct, frozen=True):
    """What must be readable of an entry to revoke its key."""

    key_id: str
    revoked_at: str = ""


class _Revocations(msgspec.Struct, frozen=True):
    version: int = VERSION
    keys: tuple[msgspec.Raw, ...] = ()


def read_entries(path: Path) -> tuple[ApiKey, ...]:
    """Every entry; none where there is no file yet. Raises ApiKeyFileError."""
    return _entries(_content(path))


def _content(path: Path) -> bytes | None:
    """None where there is no file. Raises ApiKeyFileError, too where others than the owner could add keys."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & OTHERS_WRITE:
                raise ApiKeyFileError(f"has mode {mode:03o}, group or others may write it: chmod go-w")
            return file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ApiKeyFileError(str(error.strerror)) from None


def _entries(content: bytes | None) -> tuple[ApiKey, ...]:
    if content is None:
        return ()
    try:
        read = msgspec.json.decode(content, type=ApiKeyFile)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ApiKeyFileError(f"is not a store of API keys: {error}") from None
    if read.version != VERSION:
        raise ApiKeyFileError(f"has version {read.version}, this build reads {VERSION}")
    return read.keys


def _revocations(content: bytes | None) -> dict[str, str]:
    """Time of revocation by key id, of a file that may have faults: entries that cannot be read are passed by, since
    the fault of each is told by `_entries`."""
    with suppress(msgspec.DecodeError, UnicodeDecodeError):
        read = msgspec.json.decode(content or b"{}", type=_Revocations)
        found = [entry for raw in read.keys if (entry := _revocation(raw)) and read.version == VERSION]
        return {entry.key_id: entry.revoked_at for entry in found if entry.revoked_at}
    return {}


def _revocation(raw: msgspec.Raw) -> _Revocation | None:
    try:
        return msgspec.json.decode(raw, type=_Revocation)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


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
    """The keys of one running process. `keys`: as they were read last without a fault, less what was revoked since;
    `stale`: live entries left out of them, since their tenants are gone; `exists`: whether there was a file."""

    def __init__(self, path: Path) -> None:
        self.path, self.keys = path, ApiKeys()
        self.stale: tuple[ApiKey, ...] = ()
        self.exists = False

    def load(self, tenants: Collection[str]) -> list[str]:
        """Read the file; returns every fault of it. With a fault, `keys` stay, but those that the file says are revoked
        are revoked: a fault of one entry must not keep a stolen key alive. `tenants`: names of those that exist."""
        content: bytes | None = None
        try:
            content = self._content()
            faults = faults_of(entries := _entries(content))
        except ApiKeyFileError as error:
            faults = [str(error)]
        if faults:
            self.keys = self.keys.revoked(_revocations(content))
        else:
            self.stale = tuple(entry for entry in entries if is_stale(entry, tenants))
            self.keys = ApiKeys(entry for entry in entries if entry not in self.stale)
        return [f"HELIOGRAPH_API_KEY_STORE: {self.path}: {fault}" for fault in faults]

    def _content(self) -> bytes | None:
        """None where there has been no file yet. Raises ApiKeyFileError, too where it was there before: a copy that
        failed or a mount that is gone must not take all keys back."""
        content = _content(self.path)
        if content is None and self.exists:
            raise ApiKeyFileError("is gone; the keys read from it before stay in force")
        self.exists = content is not None
        return content

    def warnings(self) -> list[str]:
        """One line for each entry that was left out."""
        return [
            f"key {key.key_id} is left out: there is no tenant {key.tenant}: heliograph keys api revoke {key.key_id}"
            for key in self.stale
        ]
