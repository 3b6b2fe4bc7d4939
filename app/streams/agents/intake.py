"""Agent `intake`: from what teams ask for to one input per recipient on the contact's log.

Interpretation happens here, once (see `expansion`). A request of many recipients that is not urgent is parked on topic
`bulk` in one record, so that it costs the requests behind it no more than any other; agent `bulk` expands it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from app.domain.model.inputs import CancelRequested
from app.records import bulk
from app.records.bulk import MOST_AT_ONCE, BulkParked, seal_record
from app.records.requests import NotifyCanceled
from app.streams.agents.expansion import Expansion, RequestExpansion, source_of
from app.streams.engine.agent import FoldScope, Input, Output, TableSpec

_encode = msgspec.json.Encoder().encode


class IntakeAgent:
    """Stateless: a request read twice gives inputs that the fold knows as repeats. One for each request topic.

    `topic`: what it reads; `bulk_topic`: where it parks; `owner`: the tenant of the topic, "" for the shared one.
    """

    rest_s = 0.0
    background = False
    tables: Sequence[TableSpec[Any]] = ()

    def __init__(self, topic: str, bulk_topic: str, expansion: RequestExpansion, owner: str = "") -> None:
        self.name = f"intake.{owner}" if owner else "intake"
        self.topic, self._bulk, self._expansion = topic, bulk_topic, expansion
        self.dead_letter = expansion.context.dead_letter

    def row_keys(self, record: Input) -> Sequence[tuple[str, bytes]]:
        return ()

    def fold(self, record: Input, scope: FoldScope) -> Iterator[float] | None:
        """One request: an input per recipient, or one parked record; a broken rule is a dead letter, and `rejected`
        where it has an id. Raises Unreadable (see `RequestExpansion.read`)."""
        request = self._expansion.read(record)
        if isinstance(request, NotifyCanceled):
            self._cancel(record, request, scope)
            return None
        if len(request.loose.recipients) > MOST_AT_ONCE:
            return self._many(request, scope)
        for _ in self._expansion.steps(request, scope):
            pass
        return None

    def _many(self, request: Expansion, scope: FoldScope) -> Iterator[float] | None:
        if request.urgent:
            return (0.0 for _ in self._expansion.steps(request, scope))
        scope.emit(self._parked(request))
        return None

    def _parked(self, request: Expansion) -> Output:
        """The request's record as it is, sealed. Keyed by tenant: partitions share the rate of a worker evenly, so the
        campaign of one tenant delays the parked requests of those few others alone whose partition is the same."""
        at, tenant = request.record, request.loose.tenant
        source = f"{at.topic}-{at.partition}-{at.offset}"
        payload = seal_record(self._expansion.context.sealer, tenant, source, at.key, at.value, at.headers)
        parked = BulkParked(
            id=source,
            tenant=tenant,
            topic=at.topic,
            partition=at.partition,
            offset=at.offset,
            at=at.at_ms,
            payload=payload,
        )
        return Output(self._bulk, tenant.encode(), bulk.encode(parked))

    def _cancel(self, record: Input, request: NotifyCanceled, scope: FoldScope) -> None:
        value = CancelRequested(
            id=source_of(record),
            tenant=request.tenant,
            pk=self._expansion.context.key_fingerprint,
            at=record.at_ms,
            message_id=request.message_id,
        )
        key = request.message_id.partition("-")[0].encode()
        scope.emit(Output(self._expansion.context.contacts, key, _encode(value)))

    def set_aside(self, record: Input, scope: FoldScope) -> None:
        """The dead letter is all there is to keep."""

    def frozen(self, record: Input, scope: FoldScope, error: Exception) -> None:
        """No row to freeze: the dead letter is all there is to keep."""

    def tick(self, partition: int, scope: FoldScope) -> None:
        """Nothing is held back between cycles."""

    def settled(self, partition: int, changed: Mapping[str, Mapping[bytes, Any | None]]) -> None:
        """This agent has no effects."""

    def assigned(self, partition: int, rows: Mapping[str, Any]) -> None:
        """This agent has no rows."""

    def revoked(self, partition: int) -> None:
        """Nothing to let go."""
