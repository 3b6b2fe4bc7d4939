"""`/v1/messages`: what teams ask for over HTTP, onto the request topic of their tenant. 202 says that it is kept."""

import asyncio
import hmac
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from app import clock
from app.config.api_keys import Scope
from app.config.tenants import Tenant
from app.domain.content.media import media_warnings
from app.domain.content.phone import read_address
from app.domain.model.identity import contact_id, message_id
from app.ingress.durable.record import LogRecord
from app.ingress.durable.writer import LogUnavailableError, LogWriter
from app.ingress.v1.access import Access, Endpoint
from app.ingress.v1.message_states import MAX_KEY, NO_MESSAGE, MessageStates
from app.ingress.v1.problems import ProblemError, broken
from app.records.codec import InvalidFieldError, decode, decode_tolerant
from app.records.requests import (
    CONTROL,
    CONTROL_RULE,
    MAX_VALUE_BYTES,
    MESSAGE_ID,
    NotifyCanceled,
    NotifyRequested,
    read_request,
    recipients_of,
)
from app.records.topics import Topics

_encode, _anything = msgspec.json.Encoder().encode, msgspec.json.Decoder()
# Of an answer while no worker folds anything, or while the read model is away or behind: a request is kept anyway.
WARNING = "Heliograph-Warning"
# What is kept, and what the read model was asked for.
WARNED = (200, 202, 404)
KINDS = ("application/json", "application/cloudevents+json")


class Messages:
    """The routes of /v1/messages.

    `access`: who may use them; `body_s`: seconds that a body may take; `answered` counts answers by route and HTTP
    status. `states`: of messages that were asked for before; `warning`: why nothing that is kept now will be done
    soon, or "".
    """

    def __init__(
        self,
        access: Access,
        log: LogWriter,
        topics: Topics,
        key: bytes,
        body_s: float,
        states: MessageStates,
        warning: Callable[[], str] = lambda: "",
    ) -> None:
        self.access, self._body_s, self._states, self._warning = access, body_s, states, warning
        self._log, self._topics, self._key = log, topics, key
        self.answered: Counter[tuple[str, int]] = Counter()

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Every route, with the scope that its key must have."""
        return (
            Endpoint("find", "GET", "/v1/messages", Scope.READ, self._find),
            Endpoint("messages", "POST", "/v1/messages", Scope.SEND, self._create),
            Endpoint("show", "GET", "/v1/messages/{id}", Scope.READ, self._show),
            Endpoint("cancel", "DELETE", "/v1/messages/{id}", Scope.CANCEL, self._cancel),
        )

    async def answer(self, endpoint: Endpoint, request: Request) -> Response:
        """What the endpoint does for the tenant of the request's key; a Problem is problem+json."""
        try:
            tenant = self.access.admit(request, endpoint.scope)
            status, content = await endpoint.action(request, tenant)
            response = Response(_encode(content), status, media_type="application/json")
        except ProblemError as wrong:
            response = wrong.response()
        except Exception:
            self.answered[endpoint.name, 500] += 1
            raise
        if response.status_code in WARNED and (warning := "; ".join(filter(None, self._warnings()))):
            response.headers[WARNING] = warning
        self.answered[endpoint.name, response.status_code] += 1
        return response

    async def _find(self, request: Request, tenant: Tenant) -> tuple[int, dict[str, Any]]:
        """By `idempotency_key`: 200 with the state of each recipient's message, none is an empty list."""
        return 200, await self._states.of_key(tenant.name, request.query_params.get("idempotency_key", ""))

    async def _show(self, request: Request, tenant: Tenant) -> tuple[int, dict[str, Any]]:
        """200 with the message's state; 404 for what is no message of this tenant, or not known yet."""
        return 200, await self._states.of_message(tenant.name, request.path_params["id"])

    async def _create(self, request: Request, tenant: Tenant) -> tuple[int, dict[str, Any]]:
        """202 with the ids of the messages, or 200 with their states if the same request was made before."""
        try:
            async with asyncio.timeout(self._body_s):
                raw = await _body(request)
        except TimeoutError:
            raise ProblemError(408, f"the body took longer than {self._body_s:g} s") from None
        body, replaced = _object(raw)
        given, made = self._request(body, _header_key(request), tenant)
        key = given.idempotency_key or ""
        contacts = [contact_id(self._key, tenant.name, read_address(to).canonical) for to in recipients_of(given)]
        ids = {message_id(self._key, tenant.name, key, contact): contact for contact in contacts}
        said: dict[str, Any] = {"message_ids": list(ids), "idempotency_key": key}
        said |= {"warnings": warnings} if (warnings := replaced + media_warnings(given.media)) else {}
        # A key that was made just now cannot have been used before.
        if not made and (known := await self._states.of_request(given, ids)) is not None:
            return 200, said | {"messages": known}
        await self._put(key, _encode(given), tenant)
        return 202, said

    async def _cancel(self, request: Request, tenant: Tenant) -> tuple[int, dict[str, Any]]:
        """202; what became of it is an update or outcome. 404 for what is no message id."""
        named = request.path_params["id"]
        if not MESSAGE_ID.match(named):
            raise ProblemError(404, NO_MESSAGE)
        await self._put(named, _encode(NotifyCanceled(message_id=named, tenant=tenant.name)), tenant)
        return 202, {"message_id": named}

    def _warnings(self) -> tuple[str, str]:
        return self._warning(), self._states.problem

    def _request(self, body: dict[str, Any], header_key: str, tenant: Tenant) -> tuple[NotifyRequested, bool]:
        """What will be produced: the tenant of the key stamped on it, whatever form it came in; and whether its
        idempotency key was made here."""
        value = _encode({"type": "notify.requested.v1", **body})
        if len(value) > MAX_VALUE_BYTES:
            raise _too_long()
        try:
            given = read_request(value)
        except InvalidFieldError as bad:
            raise broken(bad.field, bad.rule) from None
        if not isinstance(given, NotifyRequested):
            raise broken("type", "must be notify.requested.v1")
        if _named_tenant(body) not in (None, tenant.name):
            raise broken("tenant", "is not the tenant of this key")
        if len(header_key) > MAX_KEY:
            raise broken("Idempotency-Key", f"must be text of at most {MAX_KEY} characters")
        if CONTROL.search(header_key):
            raise broken("Idempotency-Key", CONTROL_RULE)
        _check(given, tenant)
        own = header_key or given.idempotency_key or given.id
        return msgspec.structs.replace(given, tenant=tenant.name, idempotency_key=own or clock.new_id()), not own

    async def _put(self, key: str, value: bytes, tenant: Tenant) -> None:
        if len(value) > MAX_VALUE_BYTES:
            raise _too_long()
        # Keeps repeats together and shows nothing: what a caller uses as a key may hold a number, so a plain hash will
        # not do.
        name = hmac.digest(self._key, f"request\0{tenant.name}\0{key}".encode(), "sha256").hex()[:20]
        try:
            await self._log.put(LogRecord(self._topics.requests_of(tenant.name), name.encode(), value))
        except LogUnavailableError:
            raise ProblemError(503, "neither Kafka nor the spool takes it") from None


def _header_key(request: Request) -> str:
    """Starlette reads headers as Latin-1; in UTF-8 the key is the same as in a field."""
    key = request.headers.get("idempotency-key", "")
    try:
        return key if key.isascii() else key.encode("latin-1").decode()
    except UnicodeDecodeError:
        return key


async def _body(request: Request) -> bytes:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() not in KINDS:
        raise ProblemError(415, "application/json only")
    raw = bytearray()
    try:
        async for chunk in request.stream():
            raw += chunk
            if len(raw) > MAX_VALUE_BYTES:
                raise _too_long()
    except ClientDisconnect:
        raise ProblemError(400, "the connection closed before the body ended") from None
    return bytes(raw)


def _object(raw: bytes) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The body, and warnings of what was replaced to read it."""
    try:
        body, warnings = decode_tolerant(lambda text: decode(_anything, text), raw)
    except InvalidFieldError:
        raise ProblemError(400, "the body is not JSON", "value", "is not JSON in UTF-8") from None
    if not isinstance(body, dict):
        raise ProblemError(400, "the body is not an object", "value", "must be an object")
    return body, warnings


def _named_tenant(body: Mapping[str, Any]) -> Any:
    """The tenant that the event itself names: in a structured CloudEvent its `data` does."""
    data = body.get("data") if "specversion" in body else body
    return data.get("tenant") if isinstance(data, dict) else None


def _check(given: NotifyRequested, tenant: Tenant) -> None:
    if given.sender and given.sender not in tenant.lanes:
        raise broken("sender", "is not a lane of this tenant")
    recipients = recipients_of(given)
    # One bad number among several is told by its own outcome and never stops the others.
    if len(recipients) == 1 and (wrong := read_address(recipients[0], tenant.strict_numbers).problem):
        raise broken("to", wrong)


def _too_long() -> ProblemError:
    return ProblemError(413, "the body is too long", "value", f"is longer than {MAX_VALUE_BYTES} bytes")
