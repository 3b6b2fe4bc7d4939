"""A caller's own fields: what a team knows its requests by. Sealed wherever no team reads them back."""

import msgspec

from app.records.seal import Sealer, UnsealError


class CallerFields(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The fields of a request that its caller chose for itself: nothing here acts on them but as names.

    `idempotency_key`: what stands for it where the caller gave none; `request_id`: id of the request's event, or "".
    """

    idempotency_key: str
    campaign: str = ""
    metadata: dict[str, str] = {}
    request_id: str = ""


# MessagePack: of JSON a control character in a value of metadata would take six bytes, and the row must hold them all.
encode_caller_fields = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(CallerFields).decode


def open_caller_fields(sealer: Sealer, sealed: str, tenant: str, message_id: str) -> CallerFields:
    """What `encode_caller_fields` made, sealed for this tenant and message. Raises UnsealError."""
    try:
        return _decode(sealer.open(sealed, tenant, message_id))
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise UnsealError("holds something else than a caller's fields") from None
