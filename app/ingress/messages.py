"""`/v1/messages`: what teams ask for over HTTP, onto `notify.requests`. 202 says it is kept, not what became of it."""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from app import clock
from app.domain.identity import contact_id, message_id
from app.domain.phone import read_address
from app.ingress.log import Log, Unavailable
from app.ingress.spool import Record
from app.records.codec import Unreadable
from app.records.requests import (
    MAX_VALUE_BYTES,
    MESSAGE_ID,
    NotifyCanceled,
    NotifyRequested,
    read_request,
    recipients_of,
)
from app.records.topics import Topics
from app.tenants import Tenant

_encode = msgspec.json.Encoder().encode


class Problem(Exception):
    """RFC 9457: `status`, `title`, and the field and rule that were broken."""

    def __init__(self, status: int, title: str, field: str = "", rule: str = "") -> None:
        super().__init__(title)
        self.status, self.title, self.field, self.rule = status, title, field, rule

    def response(self) -> Response:
        """application/problem+json."""
        body: dict[str, Any] = {"type": "about:blank", "title": self.title, "status": self.status}
        if self.rule:
            body |= {"detail": f"{self.field}: {self.rule}", "field": self.field, "rule": self.rule}
        headers = {"WWW-Authenticate": "Bearer"} if self.status == 401 else {}
        return Response(_encode(body), self.status, headers, "application/problem+json")


class Messages:
    """Handlers of /v1/messages. Bearer keys are compared by their SHA-256, in constant time."""

    def __init__(self, tenants: Mapping[str, Tenant], log: Log, topics: Topics, key: bytes) -> None:
        self._tenants, self._log, self._topics, self._key = tenants, log, topics, key
        self._keys = [
            (hashlib.sha256("".join(api_key).encode()).digest(), name)
            for name, tenant in tenants.items()
            for api_key in tenant.api_keys
        ]

    async def create(self, request: Request) -> Response:
        """POST: 202 with the ids of the messages; 400, 401, 413, 415, 422 as problem+json."""
        try:
            tenant = self._tenant(request)
            body = await self._json(request)
            given = self._request(request, body, tenant)
            await self._put(given.idempotency_key or "", _encode(given))
            return self._accepted(given, tenant)
        except Problem as problem:
            return problem.response()

    async def cancel(self, request: Request) -> Response:
        """DELETE: 202; what became of it is an update or outcome. 404 for what is no message id."""
        try:
            tenant, named = self._tenant(request), request.path_params["id"]
            if not MESSAGE_ID.match(named):
                raise Problem(404, "there is no such message")
            await self._put(named, _encode(NotifyCanceled(message_id=named, tenant=tenant.name)))
            return Response(_encode({"message_id": named}), 202, media_type="application/json")
        except Problem as problem:
            return problem.response()

    def _tenant(self, request: Request) -> Tenant:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        digest, found = hashlib.sha256(given.encode()).digest(), ""
        for known, name in self._keys:
            if hmac.compare_digest(known, digest):
                found = name
        if scheme.lower() != "bearer" or not found:
            raise Problem(401, "a bearer key of a tenant is required")
        return self._tenants[found]

    async def _json(self, request: Request) -> dict[str, Any]:
        kind = request.headers.get("content-type", "").partition(";")[0].strip()
        if kind not in ("application/json", "application/cloudevents+json"):
            raise Problem(415, "application/json only")
        raw = b""
        async for chunk in request.stream():
            raw += chunk
            if len(raw) > MAX_VALUE_BYTES:
                raise Problem(413, "the body is too long", "value", f"is longer than {MAX_VALUE_BYTES} bytes")
        try:
            body = msgspec.json.decode(raw, strict=True)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            raise Problem(400, "the body is not JSON", "value", "is not JSON in UTF-8") from None
        if not isinstance(body, dict):
            raise Problem(400, "the body is not an object", "value", "must be an object")
        return body

    def _request(self, request: Request, body: dict[str, Any], tenant: Tenant) -> NotifyRequested:
        key = request.headers.get("idempotency-key") or body.get("idempotency_key") or body.get("id") or clock.new_id()
        if not isinstance(key, str) or len(key) > 200:
            raise Problem(422, "a rule is broken", "Idempotency-Key", "must be text of at most 200 characters")
        if body.get("tenant", tenant.name) != tenant.name:
            raise Problem(422, "a rule is broken", "tenant", "is not the tenant of this key")
        whole = {"type": "notify.requested.v1", **body, "tenant": tenant.name, "idempotency_key": key}
        try:
            given = read_request(_encode(whole))
        except Unreadable as bad:
            raise Problem(422, "a rule is broken", bad.field, bad.rule) from None
        if not isinstance(given, NotifyRequested):
            raise Problem(422, "a rule is broken", "type", "must be notify.requested.v1")
        self._check(given, tenant)
        return given

    def _check(self, given: NotifyRequested, tenant: Tenant) -> None:
        if given.sender and given.sender not in tenant.lanes:
            raise Problem(422, "a rule is broken", "sender", "is not a lane of this tenant")
        recipients = recipients_of(given)
        problems = [(raw, read_address(raw, tenant.strict_numbers).problem) for raw in recipients]
        if len(recipients) == 1 and problems[0][1]:
            raise Problem(422, "a rule is broken", "to", problems[0][1])

    def _accepted(self, given: NotifyRequested, tenant: Tenant) -> Response:
        key = given.idempotency_key or ""
        ids = [
            message_id(tenant.name, key, contact_id(self._key, tenant.name, read_address(raw).canonical))
            for raw in recipients_of(given)
        ]
        return Response(_encode({"message_ids": ids, "idempotency_key": key}), 202, media_type="application/json")

    async def _put(self, key: str, value: bytes) -> None:
        try:
            await self._log.put(Record(self._topics.requests, key.encode(), value))
        except Unavailable:
            raise Problem(503, "neither Kafka nor the spool takes it") from None
