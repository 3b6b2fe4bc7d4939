"""The pseudonym key is for life: a process with another key than the contact log's refuses to start."""

from typing import Any

import msgspec

from app.records.codec import Unreadable, decode
from app.records.logs import Logs


class _Stamped(msgspec.Struct):
    pk: str


_stamped = msgspec.json.Decoder(_Stamped)
# Of each partition's end; several only for the sake of what cannot be read.
LOOKED_AT = 50


async def foreign_fingerprint(topic: str, fingerprint: str, **client: Any) -> str | None:
    """The fingerprint that the last readable record of some partition of `contacts` carries, if it is not ours."""
    async with Logs(client) as logs:
        for number in await logs.partitions(topic):
            found = await _last(logs, topic, number)
            if found not in (None, fingerprint):
                return found
    return None


async def _last(logs: Logs, topic: str, number: int) -> str | None:
    """The fingerprint of the last record in this span that can be read; a poison record is no reason not to start."""
    start, end = await logs.span(topic, number)
    found = None
    async for records in logs.read(topic, number, max(start, end - LOOKED_AT), end):
        for record in records:
            try:
                found = decode(_stamped, record.value).pk
            except Unreadable:
                continue
    return found
