"""The inputs of one request's recipients: `contact.requested.v1`, or `contact.rejected.v1` where a rule is broken.

What all recipients of a request share is computed once.
"""

from typing import Any, NamedTuple

import msgspec

from app.config.tenants import Tenant
from app.domain.content.digests import payload_fingerprint, text_digest
from app.domain.content.media import media_warnings
from app.domain.content.phone import Address, read_address
from app.domain.content.segments import with_link
from app.domain.model.identity import contact_id, message_id
from app.domain.model.inputs import MessageRequested, RequestRejected
from app.domain.model.policy import Policy
from app.domain.model.vocabulary import Reason
from app.records.caller_fields import CallerFields, encode_caller_fields
from app.records.codec import InvalidFieldError as BadRecord
from app.records.loose_requests import PartialRequest
from app.records.requests import NotifyRequested, payload_fields
from app.records.seal import Content, Sealer
from app.streams.agents.dead_letters import DeadLetters
from app.streams.engine.agent import FoldScope, Input, Output

STRANGER = "is not on the allow list of this sandbox"
_encode = msgspec.json.Encoder().encode


class InputContext(NamedTuple):
    """What every request needs: topic `contacts`, the seal, the pseudonym key and its fingerprint, dead letters."""

    contacts: str
    sealer: Sealer
    pseudonym_key: bytes
    key_fingerprint: str
    dead_letter: DeadLetters


class RejectedInputs:
    """Rejects recipients of one request, by the rule that the request or one of them breaks.

    `source`: where the request's record stood first; `traceparent`: of the request, or "".
    """

    def __init__(
        self,
        context: InputContext,
        record: Input,
        loose: PartialRequest,
        source: str,
        traceparent: str,
        scope: FoldScope,
    ) -> None:
        self._context, self._record, self._loose, self._scope = context, record, loose, scope
        self._lettered = False
        self.shared: dict[str, Any] = {
            "id": source,
            "tenant": loose.tenant,
            "pk": context.key_fingerprint,
            "at": record.at_ms,
            "requested_ms": record.at_ms,
            "source": source,
            "traceparent": traceparent,
        }
        fields = CallerFields(loose.idempotency_key, loose.campaign, loose.metadata, loose.request_id)
        self._caller_fields = encode_caller_fields(fields)

    def put(self, raw: str, bad: BadRecord, reason: Reason = Reason.INVALID_REQUEST) -> None:
        """Emit the input that ends this recipient's message as `rejected`."""
        address = read_address(raw)
        contact, message = self.identities(address)
        value = RequestRejected(
            **self.shared,
            message_id=message,
            fingerprint=payload_fingerprint(self._context.pseudonym_key, contact, "rejected", bad.field, bad.rule),
            sealed_to=self.seal(Content(address.canonical), message),
            sealed_caller_fields=self.seal_caller_fields(message),
            masked=address.masked,
            field=bad.field,
            rule=bad.rule,
            reason=reason,
        )
        self.emit(contact, value)

    def put_dead_letter(self, bad: BadRecord) -> None:
        """Emit the request's dead letter, once: each holds the whole record, and a request may name 1,000 bad numbers,
        all of which have the rule that they break in their own outcome."""
        if not self._lettered:
            self._scope.emit(self._context.dead_letter(self._record, bad.field, bad.rule))
        self._lettered = True

    def identities(self, address: Address) -> tuple[str, str]:
        """Contact id and message id."""
        contact = contact_id(self._context.pseudonym_key, self._loose.tenant, address.canonical)
        return contact, message_id(
            self._context.pseudonym_key, self._loose.tenant, self._loose.idempotency_key, contact
        )

    def seal(self, content: Content, message: str) -> str:
        """The content, sealed for this tenant and message."""
        return self._context.sealer.seal_content(content, self._loose.tenant, message)

    def seal_caller_fields(self, message: str) -> str:
        """What the caller sent along for itself, sealed for this tenant and message."""
        return self._context.sealer.seal(self._caller_fields, self._loose.tenant, message)

    def emit(self, contact: str, value: MessageRequested | RequestRejected) -> None:
        """Put the input on the contact's log."""
        self._scope.emit(Output(self._context.contacts, contact.encode(), _encode(value)))


class RequestedInputs:
    """Asks for one message per recipient of a request that breaks no rule; rejects single recipients that do.

    `warnings`: what was replaced to read the request.
    """

    def __init__(
        self,
        context: InputContext,
        request: NotifyRequested,
        tenant: Tenant,
        policy: Policy,
        rejected: RejectedInputs,
        warnings: tuple[str, ...],
    ) -> None:
        self._request, self._tenant, self._rejected, self._key = request, tenant, rejected, context.pseudonym_key
        self._link = request.media_fallback if request.media else ""
        self._linked_text = with_link(request.body, self._link) if self._link else ""
        self._payload = payload_fields(request)
        self._shared = rejected.shared | {
            "policy": policy,
            "warnings": (*warnings, *media_warnings(request.media)),
        }

    def put(self, index: int, raw: str) -> None:
        """Emit the input of one recipient; `index`: its place among the request's recipients."""
        address = read_address(raw, self._tenant.strict_numbers)
        field = "to" if isinstance(self._request.to, str) else f"to[{index}]"
        if address.problem:
            bad = BadRecord(field, address.problem)
            self._rejected.put_dead_letter(bad)
            self._rejected.put(raw, bad)
        elif not self._tenant.may_text(address.canonical):
            # No dead letter: nothing is wrong with the request, and a staging system may meet many strangers.
            self._rejected.put(raw, BadRecord(field, STRANGER), Reason.SANDBOXED)
        else:
            self._put_requested(address)

    def _put_requested(self, address: Address) -> None:
        request, (contact, message) = self._request, self._rejected.identities(address)
        content = Content(address.canonical, request.body, tuple(request.media), link=self._link)
        value = MessageRequested(
            **self._shared,
            message_id=message,
            fingerprint=payload_fingerprint(self._key, contact, *self._payload),
            sealed=self._rejected.seal(content, message),
            sealed_to=self._rejected.seal(Content(address.canonical), message),
            sealed_caller_fields=self._rejected.seal_caller_fields(message),
            masked=address.masked,
            country=address.country,
            digest=text_digest(self._key, contact, request.body, len(request.media)),
            fallback_digest=text_digest(self._key, contact, self._linked_text, 0) if self._link else "",
        )
        self._rejected.emit(contact, value)
