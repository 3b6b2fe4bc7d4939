"""Opens a caller's own fields for the records that its team reads. No row follows from them."""

from typing import Protocol

from app.records.caller_fields import CallerFields, open_caller_fields
from app.records.seal import Sealer, UnsealError
from app.streams.monitoring.contained_faults import ContainedFaults

# In the records that lack them. They go out all the same: an outcome must not wait for a key that may never come.
LEFT_OUT = "idempotency_key, campaign, metadata and request_id are left out: they are sealed by a key that is not here"


class CallerFieldsReader(Protocol):
    """Opens what stands sealed in an input or a row."""

    def __call__(self, sealed: str, tenant: str, message_id: str) -> CallerFields | None:
        """The fields; None if they cannot be opened. Never raises."""
        ...


class SealedCallerFields:
    """The reader of a worker. What cannot be opened is noted among the contained faults."""

    def __init__(self, sealer: Sealer, faults: ContainedFaults) -> None:
        self._sealer, self._faults = sealer, faults

    def __call__(self, sealed: str, tenant: str, message_id: str) -> CallerFields | None:
        try:
            return open_caller_fields(self._sealer, sealed, tenant, message_id)
        except UnsealError as error:
            self._faults.note("caller_fields", error, message=message_id)
            return None


def without_key(sealed: str, tenant: str, message_id: str) -> None:
    """The reader of a replay, which needs no secret and throws away what it makes of them."""
