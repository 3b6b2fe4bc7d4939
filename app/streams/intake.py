"""Agent `intake`: from what teams ask for to one input per recipient on the contact's log.

Interpretation happens here, once: address, tenant, lane, deadlines, segments are resolved and stamped on the input.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from app.domain.identity import contact_id, key_fingerprint, message_id, payload_fingerprint, text_digest
from app.domain.inputs import CancelRequested, Rejected, Requested
from app.domain.media import media_warnings
from app.domain.phone import Address, read_address
from app.domain.segments import with_link
from app.domain.words import Reason
from app.records.codec import Unreadable as BadRecord
from app.records.deadletters import retried_from
from app.records.requests import Loose, NotifyCanceled, NotifyRequested, read_loosely, read_request, recipients_of
from app.records.seal import Content, Sealer
from app.streams.deadletters import DeadLetters
from app.streams.engine.agent import Input, Output, Scope, TableSpec, Unreadable
from app.streams.policy import Policies
from app.tenants import Tenant

_encode = msgspec.json.Encoder().encode
STRANGER = "is not on the allow list of this sandbox"
_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\Z")  # W3C Trace Context, version 00


class IntakeAgent:
    """Stateless: a request read twice gives inputs that the fold knows as repeats."""

    name = "intake"
    rest_s = 0.0
    tables: Sequence[TableSpec[Any]] = ()

    def __init__(
        self,
        topic: str,
        contacts: str,
        tenants: Mapping[str, Tenant],
        policies: Policies,
        sealer: Sealer,
        pseudonym_key: bytes,
        dead_letters: DeadLetters,
    ) -> None:
        self.topic, self._contacts = topic, contacts
        self._tenants, self._policies, self._sealer = tenants, policies, sealer
        self._key, self._pk = pseudonym_key, key_fingerprint(pseudonym_key)
        self.dead_letter = dead_letters

    def row_keys(self, record: Input) -> Sequence[tuple[str, bytes]]:
        """None: no table."""
        return ()

    def fold(self, record: Input, scope: Scope) -> None:
        """One request: an input per recipient; a broken rule is a dead letter, and `rejected` where it has an id."""
        try:
            request = read_request(record.value, record.headers)
        except BadRecord as bad:
            self._reject_all(record, bad, scope)
            return
        if request.tenant not in self._tenants:
            raise Unreadable("tenant", "is not known")
        if isinstance(request, NotifyCanceled):
            self._cancel(record, request, scope)
        else:
            self._request(record, request, scope)

    def _cancel(self, record: Input, request: NotifyCanceled, scope: Scope) -> None:
        value = CancelRequested(
            id=_place(record), tenant=request.tenant, pk=self._pk, at=record.at_ms, message_id=request.message_id
        )
        self._put(request.message_id.partition("-")[0], value, scope)

    def _request(self, record: Input, request: NotifyRequested, scope: Scope) -> None:
        tenant = self._tenants[request.tenant]
        lane = request.sender or tenant.lane
        key, said = _key_of(request, record), (request.campaign, request.metadata)
        loose = Loose(request.tenant, recipients_of(request), key, *said)
        if lane not in tenant.lanes:
            bad = BadRecord("sender", "is not a lane of this tenant")
            scope.emit(self.dead_letter(record, bad.field, bad.rule))
            self._reject(record, loose, bad, scope)
            return
        policy = self._policies.resolve(request, tenant, lane, record.at_ms)
        many, broken = not isinstance(request.to, str), list[BadRecord]()
        for index, raw in enumerate(loose.recipients):
            address, field = read_address(raw, tenant.strict_numbers), f"to[{index}]" if many else "to"
            if address.problem:
                broken.append(BadRecord(field, address.problem))
                self._put_rejected(record, loose, raw, broken[-1], scope)
            elif not tenant.may_text(address.canonical):
                # No dead letter: nothing is wrong with the request, and a staging system may meet many strangers.
                self._put_rejected(record, loose, raw, BadRecord(field, STRANGER), scope, Reason.SANDBOXED)
            else:
                self._put_requested(record, request, loose, address, policy, scope)
        if broken:
            # One for all of them, since each holds the whole request: 1,000 letters of 900 kB would be 1 GB.
            more = f", and {len(broken) - 1} more recipients break a rule" if len(broken) > 1 else ""
            scope.emit(self.dead_letter(record, broken[0].field, f"{broken[0].rule}{more}"))

    def _put_requested(
        self, record: Input, request: NotifyRequested, loose: Loose, address: Address, policy: Any, scope: Scope
    ) -> None:
        contact = contact_id(self._key, request.tenant, address.canonical)
        message = message_id(request.tenant, loose.idempotency_key, contact)
        link = request.media_fallback if request.media else ""
        content = Content(address.canonical, request.body, tuple(request.media), link=link)
        value = Requested(
            id=_place(record),
            tenant=request.tenant,
            pk=self._pk,
            at=record.at_ms,
            message_id=message,
            idempotency_key=loose.idempotency_key,
            fingerprint=_fingerprint(request),
            sealed=self._sealer.seal_content(content, request.tenant, message),
            sealed_to=self._sealer.seal_content(Content(address.canonical), request.tenant, message),
            masked=address.masked,
            country=address.country,
            digest=text_digest(self._key, contact, request.body, len(request.media)),
            fallback_digest=text_digest(self._key, contact, with_link(request.body, link), 0) if link else "",
            policy=policy,
            requested_ms=record.at_ms,
            source=_place(record),
            campaign=request.campaign,
            metadata=request.metadata,
            traceparent=_traceparent(record),
            warnings=media_warnings(request.media),
        )
        self._put(contact, value, scope)

    def _reject_all(self, record: Input, bad: BadRecord, scope: Scope) -> None:
        # Not by raising Unreadable: the engine would undo the rejections along with it.
        scope.emit(self.dead_letter(record, bad.field, bad.rule))
        loose = read_loosely(record.value, record.headers, _place(record))
        if loose is not None and loose.tenant in self._tenants:
            self._reject(record, loose, bad, scope)

    def _reject(self, record: Input, loose: Loose, bad: BadRecord, scope: Scope) -> None:
        for raw in loose.recipients:
            self._put_rejected(record, loose, raw, bad, scope)

    def _put_rejected(
        self,
        record: Input,
        loose: Loose,
        raw: str,
        bad: BadRecord,
        scope: Scope,
        reason: Reason = Reason.INVALID_REQUEST,
    ) -> None:
        address = read_address(raw)
        contact = contact_id(self._key, loose.tenant, address.canonical)
        message = message_id(loose.tenant, loose.idempotency_key, contact)
        value = Rejected(
            id=_place(record),
            tenant=loose.tenant,
            pk=self._pk,
            at=record.at_ms,
            message_id=message,
            idempotency_key=loose.idempotency_key,
            fingerprint=payload_fingerprint("rejected", bad.field, bad.rule),
            sealed_to=self._sealer.seal_content(Content(address.canonical), loose.tenant, message),
            masked=address.masked,
            field=bad.field,
            rule=bad.rule,
            requested_ms=record.at_ms,
            source=_place(record),
            campaign=loose.campaign,
            metadata=loose.metadata,
            traceparent=_traceparent(record),
            reason=reason,
        )
        self._put(contact, value, scope)

    def _put(self, contact: str, value: Requested | Rejected | CancelRequested, scope: Scope) -> None:
        scope.emit(Output(self._contacts, contact.encode(), _encode(value)))

    def frozen(self, record: Input, scope: Scope, error: Exception) -> None:
        """No row to freeze: the dead letter is all there is to keep."""

    def tick(self, partition: int, scope: Scope) -> None:
        """Nothing waits here."""

    def settled(self, partition: int, changed: Mapping[str, Mapping[bytes, Any | None]]) -> None:
        """No effects."""

    def assigned(self, partition: int, rows: Mapping[str, Any]) -> None:
        """No rows."""

    def revoked(self, partition: int) -> None:
        """Nothing to let go."""


def _place(record: Input) -> str:
    """Where the record stood first: produced again from a dead letter it is the same request, key or no key."""
    return retried_from(record.headers) or f"{record.topic}-{record.partition}-{record.offset}"


def _key_of(request: NotifyRequested, record: Input) -> str:
    return request.idempotency_key or request.id or _place(record)


def _fingerprint(request: NotifyRequested) -> str:
    """What makes two requests under one key the same: what would be sent, from where, and when."""
    times = [t.isoformat() if t else "" for t in (request.send_at, request.expires_at)]
    link = [request.media_fallback] if request.media_fallback else []
    return payload_fingerprint(request.body, *request.media, request.sender or "", request.category, *times, *link)


def _traceparent(record: Input) -> str:
    """Passed on only if it is one: a header of somebody else's may hold anything."""
    given = next((text for name, text in record.headers if name == "traceparent"), b"")
    return given.decode() if _TRACEPARENT.match(given) else ""
