"""Whatever is asked of the door, over a real socket, signed or not: never a 5xx, a 429 or plain text.

FUZZ_CASES says how many are tried in all (200); `FUZZ_CASES=10000 ./ops/test -k fuzz` is the long run.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from urllib.parse import quote, urlencode

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.provider.webhook_forms import WebhookFormError, read_form
from app.provider.webhooks import signature
from tests.support.ingress_client import IngressClient, IngressResponse, doorway
from tests.support.ingress_server import ACME, BETA, MESSAGE, NUMBER, PERSON, PUBLIC, SID
from tests.support.keyring import ACME_KEY
from tests.support.openapi import PATH

CASES = int(os.environ.get("FUZZ_CASES", "200"))


def fuzzed(share: int) -> settings:
    """One part in `share` of all cases; the short run is the same each time."""
    checks = list(HealthCheck)
    return settings(
        max_examples=max(CASES // share, 5),
        deadline=None,
        database=None,
        suppress_health_check=checks,
        derandomize=CASES <= 200,
    )


KINDS = ["status", "inbound", "fallback"]
ANYTHING = st.text(max_size=30)
NAMES = st.sampled_from(
    ["MessageSid", "SmsSid", "MessageStatus", "SmsStatus", "AccountSid", "From", "To", "Body", "ErrorCode", "OptOutType",
     "MessagingServiceSid", "RawDlrDoneDate", "NumMedia", "MediaUrl0", "MediaUrl9", "ErrorMessage"]
)  # fmt: skip
VALUES = st.sampled_from(
    [SID, ACME, BETA, PERSON, NUMBER, "", " ", "STOP", "HELP", "delivered", "DELIVERED", "teleported", "30003", "-1",
     "9" * 40, "whatsapp:+14155550123", "rcs:x", "²", "\x00", "MG" + "d" * 32, "https://example.com/a.jpg"]
)  # fmt: skip
FIELDS = st.lists(st.tuples(NAMES | ANYTHING, VALUES | ANYTHING), max_size=12)
QUERIES = st.sampled_from(
    ["", f"m={MESSAGE}&a=1", f"m={MESSAGE}&a=0", "m=%2B14155550123&a=9999999", "a=1&a=2&m", "%ff"]
)
TARGETS = st.builds(
    lambda tenant, kind: f"/twilio/{tenant}{kind}",
    st.sampled_from(["", "acme/", "beta/", "nobody/", "%2e%2e/", "a%20b/"]),
    st.sampled_from(KINDS) | ANYTHING.map(quote),
)
BODIES = (
    st.binary(max_size=300)
    | FIELDS.map(lambda form: urlencode(form, errors="surrogatepass").encode())
    | st.builds(
        lambda part, count: part * count,
        st.sampled_from([b"a=1&", b"%", b"Body=x", b"[", b'{"a":']),
        st.integers(0, 12_000),
    )
)
TYPES = st.sampled_from(
    [b"application/x-www-form-urlencoded", b"application/json", b"text/plain", b"", b"multipart/form-data"]
)
HEADER_BYTES = st.binary(max_size=40).map(lambda raw: bytes(b for b in raw if 32 <= b < 127 or b >= 160).strip())


@pytest.fixture(scope="module")
def way(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IngressClient]:
    with doorway(tmp_path_factory.mktemp("fuzz"), shared_keys={"k1": "shared"}) as made:
        yield made


def judged(said: IngressResponse) -> None:
    assert said.status < 500 and said.status != 429, said
    if said.status >= 400:
        assert said.kind == "application/problem+json", said
    else:
        assert said.kind in ("", "text/xml", "application/json"), said


@fuzzed(4)
@given(
    st.sampled_from(["POST"] * 6 + ["GET", "PUT", "DELETE", "HEAD", "PATCH"]), TARGETS, QUERIES, TYPES, BODIES,
    st.none() | HEADER_BYTES, HEADER_BYTES,
)  # fmt: skip
def test_whatever_nobody_signed_is_refused_by_name(
    way: IngressClient,
    method: str,
    target: str,
    query: str,
    kind: bytes,
    body: bytes,
    sent: bytes | None,
    settings: bytes,
) -> None:
    headers = {"Content-Type": kind, "X-Twilio-Webhooks-Signature-Settings": settings}
    if sent is not None:
        headers["X-Twilio-Signature"] = sent
    before = len(way.door.kafka.records)
    said = way.ask(method, f"{target}?{query}" if query else target, headers, body)
    assert 400 <= said.status < 500
    if method != "HEAD":
        judged(said)
    assert len(way.door.kafka.records) == before


@fuzzed(4)
@given(st.sampled_from(KINDS), QUERIES, FIELDS, st.booleans(), HEADER_BYTES)
def test_whatever_twilio_signed_is_taken_or_refused_by_name(
    way: IngressClient, kind: str, query: str, form: list, as_json: bool, token: bytes
) -> None:
    form = [(name, value) for name, value in form if (name + value).isprintable() or not as_json]
    headers = {"I-Twilio-Idempotency-Token": token}
    if as_json:
        body = json.dumps({**dict(form), "AccountSid": ACME}).encode()
        query += f"{'&' if query else ''}bodySHA256={hashlib.sha256(body).hexdigest()}"
        headers["Content-Type"], signed = b"application/json", []
    else:
        form = [(n.encode("utf-8", "replace").decode(), v.encode("utf-8", "replace").decode()) for n, v in form]
        form = [field for field in form if field != ("", "")]
        signed = [*((name, value) for name, value in form if name != "AccountSid"), ("AccountSid", ACME)]
        body = urlencode(signed).encode()
        headers["Content-Type"] = b"application/x-www-form-urlencoded"
    url = f"{PUBLIC}/twilio/{kind}" + (f"?{query}" if query else "")
    headers["X-Twilio-Signature"] = signature("token-of-acme", url, signed).encode()
    said = way.ask("POST", f"/twilio/{kind}" + (f"?{query}" if query else ""), headers, body)
    judged(said)
    assert said.status in (200, 204)


SESSION = requests.Session()
API = schemathesis.openapi.from_path(PATH).include(path_regex="^/(v1|twilio)/")
# Hundreds of cases that are the same in every run: for the long one.
API.config.phases.coverage.enabled = CASES > 200


def call(way: IngressClient, case: schemathesis.Case, *, sign: bool) -> requests.Response:
    """As schemathesis writes it, with the signature of acme over what is really sent, and its key."""
    made = requests.Request(**case.as_transport_kwargs(base_url=way.url)).prepare()
    if sign:
        made.headers["Authorization"] = f"Bearer {ACME_KEY}"
        made.headers["X-Twilio-Signature"] = signed(made)
    return SESSION.send(made, timeout=20)


def signed(made: requests.PreparedRequest) -> str:
    body = made.body.encode() if isinstance(made.body, str) else bytes(made.body or b"")
    kind = str(made.headers.get("Content-Type", ""))
    try:
        form = read_form(body) if "form" in kind else []
    except WebhookFormError:
        form = []
    path = made.path_url
    route = path.partition("?")[0].rpartition("/")[2]
    return signature("token-of-acme", f"{PUBLIC}/twilio/{route}" + path[path.find("?") :] * ("?" in path), form)


def test_what_is_signed_here_is_signed_as_twilio_would(way: IngressClient) -> None:
    url, form = f"{way.url}/twilio/acme/status?m={MESSAGE}&a=1", {"MessageSid": SID, "MessageStatus": "sent"}
    made = requests.Request("POST", url, data=form).prepare()
    made.headers["X-Twilio-Signature"] = signed(made)
    assert SESSION.send(made, timeout=20).status_code == 204


@API.parametrize()
@fuzzed(32)
@pytest.mark.parametrize("sign", [False, True])
def test_what_openapi_says_may_be_asked_is_answered_as_it_says(
    way: IngressClient, case: schemathesis.Case, sign: bool
) -> None:
    said = call(way, case, sign=sign)
    judged(IngressResponse(said.status_code, said.headers.get("content-type", ""), said.content))
    case.validate_response(said, checks=CHECKS)


CHECKS = [
    schemathesis.checks.not_a_server_error,
    schemathesis.checks.status_code_conformance,
    schemathesis.checks.content_type_conformance,
    schemathesis.checks.response_schema_conformance,
]
