"""What every record of ours has around it: CloudEvents headers, and the input that caused it.

CloudEvents 1.0 Kafka binding, binary mode: the value is self-contained JSON, attributes are repeated as `ce_*` headers.
`cause` = (offset, index) of the input in the partition of the same number, so that a reader drops repeats with one
watermark per partition.
"""

from functools import lru_cache
from typing import Annotated

import msgspec
from msgspec import Meta

from app.domain.model import schema_fields as f

Headers = list[tuple[str, bytes | None]]


class Cause(msgspec.Struct, frozen=True, gc=False):
    """Which input made this record: its partition and offset, and the how-manieth output it is."""

    partition: Annotated[int, f.BOUNDS, Meta(description="Partition of the input, and of this record.")]
    offset: Annotated[int, f.BOUNDS, Meta(description="Offset of the input.")]
    index: Annotated[
        int, f.BOUNDS, Meta(description="From 0; a reader drops what is not above its last (offset, index).")
    ]


def headers(kind: str, record_id: str, at: str, traceparent: str = "") -> Headers:
    """`ce_*` headers of an output, `traceparent` passed on."""
    made: Headers = [*_fixed(kind), ("ce_id", record_id.encode()), ("ce_time", at.encode())]
    return [*made, ("traceparent", traceparent.encode())] if traceparent else made


@lru_cache
def _fixed(kind: str) -> tuple[tuple[str, bytes], ...]:
    return (
        ("ce_specversion", b"1.0"),
        ("ce_type", kind.encode()),
        ("ce_source", b"heliograph"),
        ("content-type", b"application/json"),
    )
