"""What a slice of a changelog makes of the rows of a table."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

Read = Callable[[list[bytes]], Sequence[bytes | None]]


def rising(
    records: Iterable[Any], stored: Read, watermark: Callable[[bytes], int] | None, back: set[bytes]
) -> dict[bytes, bytes | None]:
    """The rows to write (None: deleted), by key; `stored` reads rows written before.

    A row whose watermark lies below that of a row before it is the write of a former owner, which the network held back
    until another had taken over: it is passed over. `back` holds the keys over whose row such a one lies, still.
    Without `watermark` the last row counts; a tombstone always does.
    """
    if watermark is None:
        return {record.key: record.value for record in records}
    records = list(records)
    keys = list({record.key for record in records})
    stands = {k: -1 if v is None else watermark(v) for k, v in zip(keys, stored(keys), strict=True)}
    rows: dict[bytes, bytes | None] = {}
    for record in records:
        key, stand = record.key, -1 if record.value is None else watermark(record.value)
        if stand < stands[key] and record.value is not None:
            back.add(key)
            continue
        back.discard(key)
        rows[key], stands[key] = record.value, stand
    return rows
