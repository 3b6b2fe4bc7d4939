"""openapi.yaml against the ingress over a real socket: every route, and every answer that is documented, provoked."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter
from starlette.routing import Route

from app.config.api_keys import ApiKeys, Scope
from app.ingress.app import ANSWERS
from app.ingress.durable.record import LogRecord
from app.ingress.http.connections import MOST_BYTES
from app.ingress.webhooks.routes import KINDS, read_path
from app.internal_server import InternalServer, internal_app
from app.provider.webhook_forms import MAX_BODY_BYTES
from app.read_model.reader import ReadModel
from app.read_model.tables import database_url, messages, open_engine
from app.records.registry import STRUCTS
from app.records.requests import MAX_VALUE_BYTES
from tests.support.ingress_server import (
    ACME,
    MESSAGE,
    NUMBER,
    PERSON,
    PUBLIC,
    SID,
    UNLIMITED,
    FakeKafka,
    FakeLine,
    IngressServer,
    door,
)
from tests.support.keyring import ACME_KEY, api_key
from tests.support.openapi import PATH, answer_faults, document, followed, judge, operations
from tests.support.projected import put, state
from tests.support.references import references, resolved
from tests.support.wire import exchange, head

EVENT = {"to": PERSON, "body": "Build 742 deployed."}
AT = "2026-03-03T10:00:00.000Z"
Send = Callable[[IngressServer], Awaitable[httpx.Response]]
Case = tuple[tuple[str, str], int, Send]


class FaultyKafka(FakeKafka):
    """Its lines have a fault that nobody expects."""

    async def open(self) -> FakeLine:
        class Faulty(FakeLine):
            def enter(self, record: LogRecord) -> Any:
                raise ZeroDivisionError

        return Faulty(self)


class FaultyModel(ReadModel):
    """A read model with a fault that nobody expects."""

    async def of_ids(self, tenant: str, ids: Any) -> Any:
        raise ZeroDivisionError

    async def of_key(self, tenant: str, key_hash: str) -> Any:
        raise ZeroDivisionError


@asynccontextmanager
async def behind(status: int, path: Path, scope: str = "") -> AsyncIterator[IngressServer]:
    """The door in front of what makes it answer so: a fault of ours, neither Kafka nor disk, or all well. `scope`: the
    one that the key lacks where that is 403."""
    kafka = FaultyKafka() if status == 500 else FakeKafka()
    engine = open_engine(database_url("", path / "rows"))
    put(engine, KNOWN, KNOWN_FINAL)
    model = (FaultyModel if status == 500 else ReadModel)(engine)
    async with door(
        path,
        kafka,
        body_s=0.05 if status == 408 else 10.0,
        read_model=model,
        keys=ApiKeys([api_key(ACME_KEY, "acme", [one for one in Scope if status != 403 or one != scope])]),
        extra={"HELIOGRAPH_API_RATE": "0.001"} if status == 429 else UNLIMITED,
        keyword_replies="heliograph",
        help_text="Reply STOP.",
    ) as made:
        if status == 503:
            with engine.begin() as connection:
                messages.drop(connection)
            kafka.here = False
            (path / "spool").rmdir()
            (path / "spool").touch()
        yield made
    engine.dispose()


def looking(target: str, key: str = ACME_KEY, method: str = "GET") -> Send:
    return lambda made: made.http.request(method, target, headers={"Authorization": f"Bearer {key}"})


def asking(body: Any = EVENT, key: str = ACME_KEY, **headers: str) -> Send:
    return lambda made: made.ask(body, key, **headers)


def canceling(named: str = MESSAGE, key: str = ACME_KEY, method: str = "DELETE") -> Send:
    headers = {"Authorization": f"Bearer {key}"}
    return lambda made: made.http.request(method, f"/v1/messages/{named}", headers=headers)


SIGNED = {"X-Twilio-Signature": "bm9uc2Vuc2U=", "Content-Type": "application/x-www-form-urlencoded"}
ASKING = {"Authorization": f"Bearer {ACME_KEY}", "Content-Type": "application/json"}
CREATE, CANCEL = ("POST", "/v1/messages"), ("DELETE", "/v1/messages/{id}")
FIND, SHOW = ("GET", "/v1/messages"), ("GET", "/v1/messages/{id}")
KNOWN = state("acme", PERSON, "known", EVENT)
KNOWN_FINAL = state("acme", PERSON, "ended", EVENT, outcome="delivered", reason="reported", revision=1, final_at=AT)
MESSAGES: list[Case] = [
    (CREATE, 200, asking(Idempotency_Key="known")),
    (CREATE, 202, asking()),
    (CREATE, 202, asking({**EVENT, "to": [PERSON, "+1212"]}, Idempotency_Key="k1")),
    (CREATE, 400, asking(b"{broken")),
    (CREATE, 400, asking([1])),
    (CREATE, 401, asking(key="wrong")),
    (CREATE, 403, asking()),
    (CREATE, 429, asking()),
    (CREATE, 405, lambda made: made.http.put("/v1/messages")),
    (CREATE, 409, asking({**EVENT, "body": "Other."}, Idempotency_Key="known")),
    (CREATE, 408, lambda made: unfinished(made, "/v1/messages", ASKING)),
    (CREATE, 413, asking({**EVENT, "metadata": {"a": "x" * MAX_VALUE_BYTES}})),
    (CREATE, 415, asking(Content_Type="text/plain")),
    (CREATE, 422, asking({**EVENT, "body": " "})),
    (CREATE, 422, asking({**EVENT, "send_at": "soon"})),
    (CREATE, 422, asking(Idempotency_Key="k" * 201)),
    (CREATE, 431, lambda made: too_long(made, "POST", "/v1/messages")),
    (CREATE, 500, asking()),
    (CREATE, 503, asking()),
    (CANCEL, 202, canceling()),
    (CANCEL, 401, canceling(key="wrong")),
    (CANCEL, 403, canceling()),
    (CANCEL, 429, canceling()),
    (CANCEL, 404, canceling("nonsense")),
    (CANCEL, 405, canceling(method="PUT")),
    (CANCEL, 431, lambda made: too_long(made, "DELETE", f"/v1/messages/{MESSAGE}")),
    (CANCEL, 500, canceling()),
    (CANCEL, 503, canceling()),
]
READS: list[Case] = [
    (FIND, 200, looking("/v1/messages?idempotency_key=known")),
    (FIND, 200, looking("/v1/messages?idempotency_key=ended")),
    (FIND, 401, looking("/v1/messages?idempotency_key=known", "wrong")),
    (FIND, 403, looking("/v1/messages?idempotency_key=known")),
    (FIND, 429, looking("/v1/messages?idempotency_key=known")),
    (FIND, 405, looking("/v1/messages", method="PUT")),
    (FIND, 422, looking("/v1/messages")),
    (FIND, 431, lambda made: too_long(made, "GET", "/v1/messages")),
    (FIND, 500, looking("/v1/messages?idempotency_key=known")),
    (FIND, 503, looking("/v1/messages?idempotency_key=known")),
    (SHOW, 200, looking(f"/v1/messages/{KNOWN.message_id}")),
    (SHOW, 401, looking(f"/v1/messages/{KNOWN.message_id}", "wrong")),
    (SHOW, 403, looking(f"/v1/messages/{KNOWN.message_id}")),
    (SHOW, 429, looking(f"/v1/messages/{KNOWN.message_id}")),
    (SHOW, 404, looking(f"/v1/messages/{MESSAGE}")),
    (SHOW, 405, looking(f"/v1/messages/{MESSAGE}", method="PUT")),
    (SHOW, 431, lambda made: too_long(made, "GET", f"/v1/messages/{MESSAGE}")),
    (SHOW, 500, looking(f"/v1/messages/{KNOWN.message_id}")),
    (SHOW, 503, looking(f"/v1/messages/{KNOWN.message_id}")),
]


def hook(kind: str, path: str) -> list[Case]:
    """Every answer of one webhook, by the path of tenant acme where it names one."""
    query = f"?m={MESSAGE}&a=1" if kind == "status" else ""
    form = {
        "MessageSid": SID,
        "AccountSid": ACME,
        "MessageStatus": "sent",
        "From": PERSON,
        "To": NUMBER,
        "Body": "HELP",
    }
    real, signed = path.format(tenant="acme") + query, f"{PUBLIC}/twilio/{kind}{query}"

    def sending(secret: str = "token-of-acme") -> Send:
        return lambda made: made.post(real, form, secret, signed_url=signed)

    def bad(body: str, method: str = "POST", **headers: str) -> Send:
        given = SIGNED | {name.replace("_", "-"): value for name, value in headers.items()}
        return lambda made: made.http.request(method, real, content=body, headers=given)

    where = ("POST", path)
    return [
        (where, 204 if kind == "status" else 200, sending()),
        (where, 400, bad("Body=%FF")),
        (where, 403, sending("not-the-token")),
        (where, 405, bad("", "GET")),
        (where, 408, lambda made: unfinished(made, real, SIGNED)),
        (where, 413, bad("Body=" + "x" * MAX_BODY_BYTES)),
        (where, 415, bad("{}", Content_Type="text/plain")),
        (where, 431, lambda made: too_long(made, "POST", real)),
        (where, 500, sending()),
        (where, 503, sending()),
    ]


async def unfinished(made: IngressServer, target: str, headers: dict[str, str]) -> httpx.Response:
    """A body of which the end never comes."""
    answer = await exchange(made.http.base_url, head("POST", target, {**headers, "Content-Length": "10"}), b"Body=")
    assert answer is not None
    return answer


async def too_long(made: IngressServer, method: str, target: str) -> httpx.Response:
    """A head beyond what may wait in memory."""
    answer = await exchange(made.http.base_url, head(method, target, {"X-Long": "x" * 2 * MOST_BYTES}))
    assert answer is not None
    return answer


HOOKS = [
    case for kind in KINDS for path in (f"/twilio/{kind}", f"/twilio/{{tenant}}/{kind}") for case in hook(kind, path)
]
PUBLIC_CASES = MESSAGES + READS + HOOKS
INTERNAL = [(("GET", path), status) for path in ("/healthz", "/readyz", "/metrics") for status in (200, 503)]
OPERATIONS = {(method, path): operation for method, path, operation in operations()}


@pytest.mark.parametrize("case", PUBLIC_CASES, ids=lambda case: " ".join((*case[0], str(case[1]))))
async def test_an_answer_is_as_documented(case: Case, tmp_path: Path) -> None:
    where, status, send = case
    async with behind(status, tmp_path, *scopes(OPERATIONS[where])) as made:
        if status == 429:
            await send(made)
        answer = await send(made)
    assert answer.status_code == status
    assert answer_faults(OPERATIONS[where], answer) == []


@pytest.mark.parametrize(("where", "status"), INTERNAL, ids=str)
async def test_an_answer_of_the_internal_port_is_as_documented(where: tuple[str, str], status: int) -> None:
    wrong = "" if status == 200 else "Kafka is away"
    registry = CollectorRegistry()
    Counter("heliograph_tests", "one", registry=registry)
    served = InternalServer(internal_app(lambda: wrong, lambda: wrong, registry, lambda: wrong), "127.0.0.1", 0)
    await served.listening()
    async with httpx.AsyncClient(base_url=served.url) as client:
        answer = await client.request(*where)
    await served.stop()
    assert answer.status_code == status
    assert answer_faults(OPERATIONS[where], answer) == []


async def test_the_ingress_own_internal_port_answers_as_documented(tmp_path: Path) -> None:
    async with door(tmp_path) as made:
        for path in ("/healthz", "/readyz", "/metrics"):
            answer = await made.http.get(made.internal + path)
            assert (answer.status_code, answer_faults(OPERATIONS["GET", path], answer)) == (200, [])


def test_every_documented_answer_is_provoked_here() -> None:
    documented = {(where, int(status)) for where, operation in OPERATIONS.items() for status in operation["responses"]}
    assert documented == {(where, status) for where, status, _ in PUBLIC_CASES} | set(INTERNAL)


async def test_every_route_is_documented_and_every_documented_path_is_a_route(tmp_path: Path) -> None:
    async with door(tmp_path) as made:
        routes, internal = made.ingress.routes(), made.ingress.internal().routes
    served = {
        (method, route.path) for route in (*routes, *internal) if isinstance(route, Route) for method in methods(route)
    }
    hooks = {("POST", f"/twilio/{part}{kind}") for kind in KINDS for part in ("", "{tenant}/")}
    assert served | hooks == set(OPERATIONS)
    for _, path in hooks:
        assert read_path(path) == (KINDS[path.rpartition("/")[2]], "{tenant}" if "{tenant}" in path else "")


def scopes(operation: dict[str, Any]) -> list[str]:
    """What a key must be good for, by its documentation."""
    return [scope for security in operation.get("security", []) for scope in security.get("bearer", [])]


async def test_every_route_of_the_api_asks_for_the_one_scope_that_is_documented(tmp_path: Path) -> None:
    """Each is asked above with a key of all the other scopes."""
    async with door(tmp_path) as made:
        declared = {(one.method, one.path): [one.scope] for one in made.ingress.messages.endpoints}
        served = {(m, r.path) for r in made.ingress.routes() for m in methods(r)}
    documented = {where: scopes(operation) for where, operation in OPERATIONS.items() if where[1].startswith("/v1/")}
    assert declared == documented and served == set(documented)
    assert {(where, 403) for where in documented} <= {(where, status) for where, status, _ in PUBLIC_CASES}


def methods(route: Route) -> set[str]:
    return set(route.methods or ()) - {"HEAD"}


def test_every_public_route_refuses_whoever_shows_neither_key_nor_signature() -> None:
    """Each documented answer is provoked above."""
    public = {
        where: set(operation["responses"]) for where, operation in OPERATIONS.items() if (where, 200) not in INTERNAL
    }
    assert {where for where, answers in public.items() if not answers & {"401", "403"}} == set() != set(public)


def test_the_answers_that_are_counted_from_zero_are_those_documented() -> None:
    names = {CREATE: "messages", CANCEL: "cancel", FIND: "find", SHOW: "show"}
    names |= {("POST", f"/twilio/{kind}"): kind for kind in KINDS}
    for where, name in names.items():
        # Starlette answers another method of /v1 before the handler that counts; the connection ends heads that are
        # too long, and slow bodies of webhooks, and counts what it ends.
        uncounted = {405, 431} if where[1].startswith("/v1") else {408, 431}
        assert {int(status) for status in OPERATIONS[where]["responses"]} - uncounted == set(ANSWERS[name]), name


def test_every_reference_leads_somewhere() -> None:
    found = list(references(document()))
    assert len(found) > len(OPERATIONS) and all(resolved(PATH, reference) for reference in found)


def test_the_examples_of_a_request_are_as_documented_and_a_wrong_one_is_not() -> None:
    content = OPERATIONS[CREATE]["requestBody"]["content"]
    for kind in content.values():
        for example in kind["examples"].values():
            assert judge(kind["schema"]).is_valid(example["value"])
    plain = judge(content["application/json"]["schema"])
    for wrong in ({"to": PERSON}, {**EVENT, "media": ["http://example.com"]}, {**EVENT, "type": "notify.canceled.v1"}):
        assert not plain.is_valid(wrong)


async def test_the_examples_of_a_request_are_taken(tmp_path: Path) -> None:
    async with door(tmp_path) as made:
        for kind, content in OPERATIONS[CREATE]["requestBody"]["content"].items():
            for example in content["examples"].values():
                assert (await made.ask(example["value"], Content_Type=kind)).status_code == 202


def test_a_request_over_http_has_the_fields_of_the_event() -> None:
    schema, event = document()["components"]["schemas"]["Request"], "./events/notify.requested.v1.json"
    assert set(schema["properties"]) == {"type", *STRUCTS["notify.requested.v1"].__struct_fields__}
    for name, field in schema["properties"].items():
        assert field == {"$ref": f"{event}#/properties/{name}"}
    rules = resolved(PATH, f"{event}#/anyOf")
    assert schema["anyOf"] == [{"$ref": f"{event}#/anyOf/{n}"} for n in range(len(rules))]


def test_the_judge_of_answers_notices_another_status_type_header_or_body() -> None:
    operation = OPERATIONS[CREATE]
    problem = {"content-type": "application/problem+json"}
    body = b'{"type":"about:blank","title":"x","status":401}'
    good = httpx.Response(401, headers={**problem, "www-authenticate": "Bearer"}, content=body)
    assert answer_faults(operation, good) == []
    for wrong in (
        httpx.Response(418),
        httpx.Response(401, headers=problem, content=body),
        httpx.Response(401, headers={"content-type": "text/plain", "www-authenticate": "Bearer"}, content=body),
        httpx.Response(404, headers=problem, content=body),
        httpx.Response(422, headers=problem, content=b'{"type":"about:blank","title":"x","status":422}'),
        httpx.Response(
            202, headers={"content-type": "application/json"}, content=b'{"message_ids":["1"],"idempotency_key":""}'
        ),
    ):
        assert answer_faults(operation, wrong) != []
    assert answer_faults(OPERATIONS["POST", "/twilio/status"], httpx.Response(204, content=b"x")) != []
    assert followed({"$ref": "#/components/responses/Well"})["description"] == "It is."
