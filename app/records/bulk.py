"""Family `bulk`: requests of many recipients, parked by intake and expanded in the background (internal)."""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from app.domain.model import schema_fields as f
from app.records.envelope import Headers
from app.records.seal import Sealer

# A request of more recipients is parked, unless it is urgent.
MOST_AT_ONCE = 20


class BulkParked(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="bulk.parked.v1", tag_field="type", gc=False
):
    """A request of many recipients, parked until it is expanded into one input per recipient. Its whole record is
    sealed; in clear stand the tenant and where the record was read."""

    id: f.Source
    tenant: f.Tenant
    topic: Annotated[str, Meta(description="Topic of the request's record.")]
    partition: Annotated[int, Meta(description="Partition of the request's record.")]
    offset: Annotated[int, Meta(description="Offset of the request's record.")]
    at: Annotated[int, Meta(description="Log time of the request's record, ms since the epoch.")]
    payload: f.SealedRecord


class RequestRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The sealed part: key, value and headers exactly as they were read. Header names are bytes, so that a name that
    is no valid text survives too."""

    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[bytes, bytes | None]]


decoder = msgspec.json.Decoder(BulkParked)
encode = msgspec.json.Encoder().encode
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(RequestRecord).decode


def seal_record(
    sealer: Sealer, tenant: str, source: str, key: bytes | None, value: bytes | None, headers: Headers
) -> str:
    """The sealed form of a request's record, bound to its tenant and `source` (topic-partition-offset)."""
    named = [(name.encode("utf-8", "surrogateescape"), text) for name, text in headers]
    return sealer.seal(_pack(RequestRecord(key, value, named)), tenant, source)


def open_record(sealer: Sealer, parked: BulkParked) -> tuple[bytes | None, bytes | None, Headers]:
    """Key, value and headers as `seal_record` was given them. Raises UnsealError."""
    record = _unpack(sealer.open(parked.payload, parked.tenant, parked.id))
    headers: Headers = [(name.decode("utf-8", "surrogateescape"), text) for name, text in record.headers]
    return record.key, record.value, headers
