"""Every code that a create call can meet, over a real socket: its class, and never a crash, whoever answers and how."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.domain.model.vocabulary import ErrorClass
from app.provider.provider_api import CreateRejected, CreateUnknown
from app.provider.status_mapping import ERRORS, entries
from tests.contracts.test_provider_create import create, error
from tests.support.scripted import http, scripted

# Twilio answers these with 5xx: whether the text went is not known, whatever the code says.
SERVER = {20500: 500, 20503: 503}
MET = sorted(entry["code"] for entry in entries() if "C" in entry["stage"] and entry["code"] not in SERVER)
STATUS = {20003: 401, 20429: 429, 20404: 404, 63038: 429}


def problem(status: int, **given: object) -> bytes:
    """RFC 9457, which the SDK raises as a TwilioServiceException."""
    content = {"type": "https://www.twilio.com/docs/api/errors", "title": "No", "status": status, **given}
    return http(status, json.dumps(content), kind="application/problem+json")


async def test_every_code_of_the_create_call_is_classed_as_the_table_says_in_both_forms_of_errors() -> None:
    answers = {}
    async with scripted(lambda seen: answers[dict(seen.form)["Body"]]) as server:
        for code in MET:
            status = STATUS.get(code, 400)
            answers |= {f"{code}": error(status, code), f"{code} new": problem(status, code=code, detail="No")}
            for body in (f"{code}", f"{code} new"):
                assert await create(server.url, body=body) == CreateRejected(
                    code=code, error=ERRORS[code], http_status=status
                ), body
    assert len(MET) > 90


@pytest.mark.parametrize("code", SERVER)
async def test_p2_an_ambiguous_code_comes_with_5xx_and_is_in_doubt_in_both_forms_of_errors(code: int) -> None:
    for answer in (error(SERVER[code], code), problem(SERVER[code], code=code)):
        async with scripted(lambda _, said=answer: said) as server:
            assert await create(server.url) == CreateUnknown(why=f"http {SERVER[code]}", http_status=SERVER[code])


CONFIGURATION, UNKNOWN, THROTTLED = ErrorClass.CONFIGURATION, ErrorClass.UNKNOWN, ErrorClass.THROTTLED
HTML = "<html><head><title>{0}</title></head><body><center>nginx</center></body></html>"
OTHERS = {
    "a proxy that wants credentials": (http(407, HTML, kind="text/html"), 407, CONFIGURATION),
    "a proxy that forbids": (http(403, HTML, kind="text/html"), 403, CONFIGURATION),
    "a login page where the API should be": (http(401, HTML, kind="text/html"), 401, CONFIGURATION),
    "a method that is not allowed there": (http(405, HTML, kind="text/html"), 405, CONFIGURATION),
    "a body too large for a proxy": (http(413, HTML, kind="text/html"), 413, UNKNOWN),
    "a limit of a proxy": (http(429, HTML, kind="text/html"), 429, THROTTLED),
    "a problem without a code": (problem(400), 400, UNKNOWN),
    "a problem whose code is text": (problem(400, code="none"), 400, UNKNOWN),
    "a problem that is cut off": (http(400, '{"type": "x", "co', kind="application/problem+json"), 400, UNKNOWN),
    "a problem that is a list": (http(400, "[1]", kind="application/problem+json"), 400, UNKNOWN),
    "an error whose code is a list": (http(400, '{"code": [21211]}'), 400, UNKNOWN),
    "an error whose code is huge": (http(400, '{"code": 1e400}'), 400, UNKNOWN),
    "an error that is null": (http(400, "null"), 400, UNKNOWN),
    "an error that nests too deep": (http(400, "[" * 100_000), 400, UNKNOWN),
    "an empty body": (http(400, ""), 400, UNKNOWN),
}


@pytest.mark.parametrize("name", OTHERS)
async def test_whatever_else_refuses_has_a_class_by_its_status_and_is_proof_that_nothing_was_sent(name: str) -> None:
    answer, status, expected = OTHERS[name]
    async with scripted(lambda _: answer) as server:
        assert await create(server.url) == CreateRejected(code=None, error=expected, http_status=status)


HALF = json.dumps({"code": 21610, "message": "Attempt to send to unsubscribed recipient", "status": 400}).encode()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(max_size=80), st.integers(0, len(HALF)).map(lambda n: HALF[:n])), st.integers(400, 599))
async def test_no_body_of_an_error_is_a_crash(body: bytes, status: int) -> None:
    async with scripted(lambda _: http(status, body)) as server:
        result = await create(server.url)
    assert isinstance(result, CreateRejected if status < 500 else CreateUnknown) and result.http_status == status
