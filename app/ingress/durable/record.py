"""What the door puts on the log."""

import msgspec


class LogRecord(msgspec.Struct, frozen=True, array_like=True):
    """What is to be produced; the partition follows from the key."""

    topic: str
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes | None]] = []
