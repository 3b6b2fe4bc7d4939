"""The record that the ingress writes to the log."""

import msgspec


class LogRecord(msgspec.Struct, frozen=True, array_like=True):
    """A record to produce. Its partition is computed from `key`."""

    topic: str
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes | None]] = []
