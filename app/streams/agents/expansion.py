"""From one request to one input per recipient on the contact log, in steps.

Address, tenant, lane, deadlines and segments are resolved here, once, and stamped on the input. Everything follows from
the request's record and the tenants file: expanded at once or later, once or twice, it gives the same messages.
"""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec

from app.config.tenants import Tenant
from app.domain.model.vocabulary import Priority
from app.records.codec import InvalidFieldError as BadRecord
from app.records.dead_letters import retried_from
from app.records.loose_requests import PartialRequest, read_loosely
from app.records.requests import (
    DEFAULT_TENANT,
    FOREIGN_TENANT,
    NOT_SHARED,
    NotifyCanceled,
    NotifyRequested,
    parse_request,
    recipients_of,
)
from app.streams.agents.policy_resolver import PolicyResolver
from app.streams.agents.recipient_inputs import InputContext, RejectedInputs, RequestedInputs
from app.streams.engine.agent import FoldScope, Input, UnreadableRecordError

# A step is what is expanded between two breaths of the event loop: so many recipients (some 3 ms), or about so many
# bytes of outputs where much of the request is repeated for each recipient.
STEP_RECIPIENTS, STEP_BYTES = 20, 512 * 1024
_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\Z")  # W3C Trace Context, version 00


class Expansion(NamedTuple):
    """A request as it was read. `request` is None if it broke a rule, which is `bad`: then each recipient is rejected.
    Tenant, recipients and what the caller sent along are in `loose` either way. `warnings`: what was replaced to read
    it."""

    record: Input
    loose: PartialRequest
    request: NotifyRequested | None
    bad: BadRecord | None
    warnings: tuple[str, ...] = ()

    @property
    def urgent(self) -> bool:
        """Whether the request says so; one that broke a rule is not."""
        return self.request is not None and self.request.priority is Priority.URGENT


class RequestExpansion:
    """Reads requests and expands them onto topic `contacts`; used by intake and by the background agent.

    `owners`: the tenant of each request topic that belongs to one. Kafka's rights say who may write that topic, so that
    its records are of that tenant and of no other. Any other topic is shared: a tenant takes requests from there only
    if its `shared_requests` says so, for every producer may name any tenant.
    """

    def __init__(
        self, tenants: Mapping[str, Tenant], policies: PolicyResolver, context: InputContext, owners: Mapping[str, str]
    ) -> None:
        self._tenants, self._policies, self.context, self._owners = tenants, policies, context, owners

    def read(self, record: Input, owner: str = "") -> Expansion | NotifyCanceled:
        """What the record asks for. `owner`: the tenant that it was found to be of before; "" asks its topic.

        Raises Unreadable if its tenant is not known, if that takes no requests from the shared topic, or if the record
        breaks a rule and it cannot be told whose messages it asks for: then a dead letter is all that can come of it.
        """
        owner = owner or self._owners.get(record.topic, "")
        try:
            request, warnings = parse_request(record.value, record.headers, owner or DEFAULT_TENANT)
        except BadRecord as bad:
            return self._refused(record, bad, owner)
        if owner and request.tenant != owner:
            return self._refused(record, BadRecord("tenant", FOREIGN_TENANT), owner)
        self._check_known(request.tenant, owner)
        return request if isinstance(request, NotifyCanceled) else self._accepted(record, request, warnings)

    def _check_known(self, tenant: str, owner: str) -> None:
        if tenant not in self._tenants:
            raise UnreadableRecordError("tenant", "is not known")
        if not owner and not self._tenants[tenant].shared_requests:
            raise UnreadableRecordError("tenant", NOT_SHARED)

    def _refused(self, record: Input, bad: BadRecord, owner: str) -> Expansion:
        """Its messages are rejected as those of `owner`, whatever tenant it names: that one must not see them."""
        loose = read_loosely(record.value, record.headers, source_of(record), owner or DEFAULT_TENANT)
        if loose is None or not (owner or loose.tenant in self._tenants):
            raise UnreadableRecordError(bad.field, bad.rule) from None
        loose = msgspec.structs.replace(loose, tenant=owner or loose.tenant)
        self._check_known(loose.tenant, owner)
        return Expansion(record, loose, None, bad)

    def _accepted(self, record: Input, request: NotifyRequested, warnings: tuple[str, ...]) -> Expansion:
        key = request.idempotency_key or request.id or source_of(record)
        own = request.id or ""
        loose = PartialRequest(request.tenant, recipients_of(request), key, request.campaign, request.metadata, own)
        tenant = self._tenants[request.tenant]
        if (request.sender or tenant.lane) not in tenant.lanes:
            return Expansion(record, loose, None, BadRecord("sender", "is not a lane of this tenant"))
        return Expansion(record, loose, request, None, warnings)

    def steps(self, expansion: Expansion, scope: FoldScope) -> Iterator[int]:
        """Emit one input per recipient. Yields, before each step, how many recipients it expands."""
        record, loose = expansion.record, expansion.loose
        rejected = RejectedInputs(self.context, record, loose, source_of(record), _traceparent(record), scope)
        requested = self._requested(expansion, rejected)
        # The whole value is the most that the input of one recipient repeats of the request.
        most = max(1, min(STEP_RECIPIENTS, STEP_BYTES // max(1, len(record.value or b""))))
        for start in range(0, len(loose.recipients), most):
            step = loose.recipients[start : start + most]
            yield len(step)
            for index, raw in enumerate(step, start):
                if expansion.bad is not None:
                    rejected.put_dead_letter(expansion.bad)
                    rejected.put(raw, expansion.bad)
                elif requested is not None:
                    requested.put(index, raw)

    def _requested(self, expansion: Expansion, rejected: RejectedInputs) -> RequestedInputs | None:
        request = expansion.request
        if request is None:
            return None
        tenant = self._tenants[request.tenant]
        policy = self._policies.resolve(request, tenant, request.sender or tenant.lane, expansion.record.at_ms)
        return RequestedInputs(self.context, request, tenant, policy, rejected, expansion.warnings)


def source_of(record: Input) -> str:
    """Where the record stood first: produced again from a dead letter it is the same request, key or no key. A letter
    goes back to the topic it came from; a header that names another one is a producer's invention."""
    retried = retried_from(record.headers)
    if retried is not None and retried.rsplit("-", 2)[0] == record.topic:
        return retried
    return f"{record.topic}-{record.partition}-{record.offset}"


def _traceparent(record: Input) -> str:
    """Passed on only if it is one: a header of somebody else's may hold anything."""
    given = next((text for name, text in record.headers if name == "traceparent"), None)
    return given.decode() if given and _TRACEPARENT.match(given) else ""
