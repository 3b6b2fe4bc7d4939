"""The create call over a real socket: whatever comes back is classified as sent, not sent or in doubt, and sent once."""

import asyncio
import base64
import json
import logging
import os
import subprocess
import sys
from typing import Any

import pytest

from app.domain.model.vocabulary import DeliveryStatus, ErrorClass
from app.provider import http as http_client
from app.provider.concurrency_limiter import ConcurrencyLimiter
from app.provider.http import Timeouts
from app.provider.provider_api import (
    CreateAccepted,
    CreateNotSent,
    CreateRejected,
    CreateRequest,
    CreateUnknown,
    Result,
)
from app.provider.twilio import OPTIONAL, TwilioProvider
from tests.support.scripted import HANG, RecordedCall, ScriptedServer, http, scripted

ACCOUNT, SID, SERVICE = "AC" + "1" * 32, "SM" + "a" * 32, "MG" + "2" * 32
TO, BODY = "+14155550123", "Build 742 deployed."
SOON = Timeouts(5.0, 5.0, 5.0)
FREE: Any = lambda: None  # noqa: E731 - a check that forbids nothing


def call(**given: Any) -> CreateRequest:
    defaults = {
        "to": TO,
        "body": BODY,
        "media": (),
        "status_callback": "https://hooks.example.com/twilio/status?m=x&a=1#rc=5&rp=all",
        "messaging_service_sid": SERVICE,
        "from_number": "",
        "validity_s": 600,
    }
    return CreateRequest(**{**defaults, **given})


def provider(
    url: str,
    timeouts: Timeouts = SOON,
    concurrency: int = 20,
    gate: ConcurrencyLimiter | None = None,
    key: str = ACCOUNT,
) -> TwilioProvider:
    return TwilioProvider(ACCOUNT, (key, "a-secret"), url, timeouts, concurrency, gate)


async def create(url: str, check: Any = FREE, timeouts: Timeouts = SOON, **given: Any) -> Result:
    made = provider(url, timeouts)
    try:
        return await made.create(call(**given), check)
    finally:
        await made.close()


def error(status: int, code: int, *headers: str) -> bytes:
    content = {"code": code, "message": "Said by Twilio", "more_info": "https://example.com", "status": status}
    return http(status, json.dumps(content), *headers)


def message(**given: Any) -> str:
    return json.dumps({"sid": SID, "status": "accepted", "num_segments": "0", **given})


PROBLEM = json.dumps({"type": "https://example.com/p", "title": "No", "status": 400, "code": 21211, "detail": "No"})
NOT_SENT = {
    "opted out": (error(400, 21610), CreateRejected(code=21610, error=ErrorClass.OPTED_OUT, http_status=400)),
    "an impossible number": (error(400, 21211), CreateRejected(code=21211, error=ErrorClass.NUMBER_INVALID, http_status=400)),
    "problem+json": (
        http(400, PROBLEM, kind="application/problem+json"),
        CreateRejected(code=21211, error=ErrorClass.NUMBER_INVALID, http_status=400),
    ),
    "wrong credentials": (error(401, 20003), CreateRejected(code=20003, error=ErrorClass.CONFIGURATION, http_status=401)),
    "throttled": (
        error(429, 20429, "Retry-After: 7"),
        CreateRejected(code=20429, error=ErrorClass.THROTTLED, http_status=429, retry_after_ms=7000),
    ),
    "throttled in HTML": (
        http(429, "<html>slow down</html>", "Retry-After: Wed, 21 Oct 2026 07:28:00 GMT", kind="text/html"),
        CreateRejected(code=None, error=ErrorClass.THROTTLED, http_status=429),
    ),
    "a retry-after beyond reason": (
        error(429, 20429, "Retry-After: 99999999"),
        CreateRejected(code=20429, error=ErrorClass.THROTTLED, http_status=429, retry_after_ms=3_600_000),
    ),
    "a code not listed": (error(400, 29999), CreateRejected(code=29999, error=ErrorClass.UNKNOWN, http_status=400)),
    "no code": (http(400, '{"message": "no"}'), CreateRejected(code=None, error=ErrorClass.UNKNOWN, http_status=400)),
    "an HTML page where the API should be": (
        http(404, "<html>nginx</html>", kind="text/html"),
        CreateRejected(code=None, error=ErrorClass.CONFIGURATION, http_status=404),
    ),
    "a refusal cut off in the middle": (
        http(400, '{"code": 216', length=500),
        CreateRejected(code=None, error=ErrorClass.UNKNOWN, http_status=400),
    ),
    "a refusal of no known text": (
        http(400, b"\xff\xfe\x00"),
        CreateRejected(code=None, error=ErrorClass.UNKNOWN, http_status=400),
    ),
}  # fmt: skip
IN_DOUBT = {
    "500": (error(500, 20500), "http 500"),
    "503 in HTML": (http(503, "<html>later</html>", kind="text/html"), "http 503"),
    "a redirect, not followed": (http(302, "", "Location: /elsewhere"), "http 302"),
    "201 cut off in the middle": (http(201, '{"sid": "SM', length=500), "ClientPayloadError"),
    "201 in HTML": (http(201, "<html>ok</html>", kind="text/html"), "unreadable answer"),
    "201 with a list": (http(201, "[]"), "unreadable answer"),
    "201 with null": (http(201, "null"), "unreadable answer"),
    "201 that nests too deep": (http(201, "[" * 100_000), "unreadable answer"),
    "201 with an empty object": (http(201, "{}"), "answer without a SID"),
    "201 with a number for a SID": (http(201, message(sid=7)), "answer without a SID"),
    "201 with half an emoji in the SID": (http(201, '{"sid": "SM\\ud83d"}'), "answer without a SID"),
    "201 with a SID of 100 kB": (http(201, message(sid="SM" + "a" * 100_000)), "answer without a SID"),
    "no HTTP": (b"garbage\r\n\r\n", "ClientResponseError"),
    "closed without an answer": (b"", "ServerDisconnectedError"),
}  # fmt: skip


async def test_a_number_of_segments_that_cannot_be_counts_as_none() -> None:
    async with scripted(lambda _: http(201, message(num_segments="9" * 5000))) as server:
        assert await create(server.url) == CreateAccepted(sid=SID, progress=DeliveryStatus.ACCEPTED, segments=0)


async def test_p2_an_answer_without_end_is_in_doubt_and_read_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "MOST_BYTES", 1000)
    async with scripted(lambda _: http(201, message(note="x" * 2000))) as server:
        assert await create(server.url) == CreateUnknown(why="ClientPayloadError", http_status=201)


@pytest.mark.parametrize("name", NOT_SENT)
async def test_a_4xx_is_proof_that_nothing_was_sent(name: str) -> None:
    answer, expected = NOT_SENT[name]
    async with scripted(lambda _: answer) as server:
        assert await create(server.url) == expected
    assert len(server.seen) == 1


@pytest.mark.parametrize("name", IN_DOUBT)
async def test_p2_whatever_else_happens_after_the_request_left_is_in_doubt_and_not_repeated(name: str) -> None:
    answer, why = IN_DOUBT[name]
    async with scripted(lambda _: answer) as server:
        result = await create(server.url)
    assert isinstance(result, CreateUnknown) and result.why == why
    assert len(server.seen) == 1


def broken() -> str:
    raise KeyError("a fault of ours")


FAULTS: dict[str, tuple[dict[str, Any], type[Exception]]] = {
    "a check that breaks": ({"check": broken}, KeyError),
    "a text that is none": ({"body": "\ud800"}, UnicodeEncodeError),
    "a time that is none": ({"send_at_ms": "soon"}, TypeError),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_what_breaks_without_an_answer_is_a_fault_of_ours_and_not_called_an_answer(name: str) -> None:
    given, kind = FAULTS[name]
    async with scripted(lambda _: http(201, message())) as server:
        with pytest.raises(kind):
            await create(server.url, **given)
    assert server.seen == []


async def test_a_hung_server_is_in_doubt_once_the_time_is_over() -> None:
    async with scripted(lambda _: HANG) as server:
        assert await create(server.url, timeouts=Timeouts(5, 5, 0.3)) == CreateUnknown(why="TimeoutError")
    assert len(server.seen) == 1


async def test_an_answer_that_stops_coming_is_in_doubt_once_nothing_was_read_for_so_long() -> None:
    async with scripted(lambda _: HANG) as server:
        result = await create(server.url, timeouts=Timeouts(5, 0.2, 60))
    assert isinstance(result, CreateUnknown) and result.why == "SocketTimeoutError"


async def test_a_connection_that_is_not_made_in_time_is_no_connection() -> None:
    """A server that takes connections and never says hello: TLS is part of the connection."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    result = await create(url, timeouts=Timeouts(0.2, 60, 60))
    server.close()
    assert result == CreateRejected(code=None, error=ErrorClass.TRANSIENT, http_status=0)


async def test_what_twilio_says_of_requests_at_once_reaches_the_gate_with_refusals_too() -> None:
    gate, said = ConcurrencyLimiter(8), [error(429, 20429, "Twilio-Concurrent-Requests: 30")]
    async with scripted(lambda _: said[-1]) as server:
        made = provider(server.url, gate=gate)
        await asyncio.gather(*(made.create(call(), FREE) for _ in range(8)))
        first = gate.limit
        said.append(http(201, message(), "Twilio-Concurrent-Requests: 30"))
        await asyncio.gather(*(made.create(call(), FREE) for _ in range(40)))
        at_the_brink = gate.limit
        said.append(http(201, message(), "Twilio-Concurrent-Requests: 9"))
        await asyncio.gather(*(made.create(call(), FREE) for _ in range(40)))
        await made.close()
    assert (first, at_the_brink, gate.limit) == (4, 4, 8)


async def test_what_it_logs_in_with_is_an_api_key_if_there_is_one_and_another_from_the_next_call_on() -> None:
    async with scripted(lambda _: http(201, message())) as server:
        made = provider(server.url, key="SK" + "3" * 32)
        await made.create(call(), FREE)
        made.log_in(("SK" + "4" * 32, "another"))
        await made.create(call(), FREE)
        await made.close()
    pairs = [base64.b64decode(seen.headers["authorization"].removeprefix("Basic ")).decode() for seen in server.seen]
    assert pairs == [f"SK{'3' * 32}:a-secret", f"SK{'4' * 32}:another"]
    assert all(f"/Accounts/{ACCOUNT}/" in seen.line for seen in server.seen)


NOWHERE = {
    "refused": "http://127.0.0.1:1",
    "no such host": "http://heliograph.invalid",
}


@pytest.mark.parametrize("url", NOWHERE.values(), ids=NOWHERE)
async def test_without_a_connection_nothing_was_sent_and_it_may_be_tried_again(url: str) -> None:
    assert await create(url) == CreateRejected(code=None, error=ErrorClass.TRANSIENT, http_status=0)


async def test_a_failed_tls_handshake_is_no_connection() -> None:
    async with scripted(lambda _: b"") as server:
        result = await create(server.url.replace("http:", "https:"))
    assert result == CreateRejected(code=None, error=ErrorClass.TRANSIENT, http_status=0)


async def test_a_taken_call_has_sid_progress_and_segments() -> None:
    async with scripted(lambda _: http(201, message(status="queued", num_segments="2"))) as server:
        assert await create(server.url) == CreateAccepted(sid=SID, progress=DeliveryStatus.QUEUED, segments=2)


async def test_a_status_not_known_yet_counts_as_accepted() -> None:
    async with scripted(lambda _: http(201, message(status="teleported", num_segments="²"))) as server:
        assert await create(server.url) == CreateAccepted(sid=SID, progress=DeliveryStatus.ACCEPTED, segments=0)


async def test_the_form_is_what_twilio_documents() -> None:
    async with scripted(lambda _: http(201, message())) as server:
        await create(server.url, media=("https://example.com/a.png", "https://example.com/b.png"), body="50 % & ü")
        await create(server.url, messaging_service_sid="", from_number="+15005550006")
    first, second = server.seen
    assert first.line == f"POST /2010-04-01/Accounts/{ACCOUNT}/Messages.json HTTP/1.1"
    assert base64.b64decode(first.headers["authorization"].removeprefix("Basic ")).decode() == f"{ACCOUNT}:a-secret"
    assert sorted(first.form) == [
        ("Body", "50 % & ü"),
        ("MediaUrl", "https://example.com/a.png"),
        ("MediaUrl", "https://example.com/b.png"),
        ("MessagingServiceSid", SERVICE),
        ("StatusCallback", "https://hooks.example.com/twilio/status?m=x&a=1#rc=5&rp=all"),
        ("To", TO),
        ("ValidityPeriod", "600"),
    ]
    assert ("From", "+15005550006") in second.form and "MessagingServiceSid" not in dict(second.form)


OPTIONS = {
    "content_retention": ("discard", "ContentRetention", "discard"),
    "address_retention": ("obfuscate", "AddressRetention", "obfuscate"),
    "smart_encoded": (False, "SmartEncoded", "false"),
    "shorten_urls": (True, "ShortenUrls", "true"),
    "risk_check": ("disable", "RiskCheck", "disable"),
    "message_intent": ("otp", "MessageIntent", "otp"),
    "application_sid": ("AP" + "0" * 32, "ApplicationSid", "AP" + "0" * 32),
    "provide_feedback": (True, "ProvideFeedback", "true"),
    "max_price": (0.05, "MaxPrice", "0.05"),
}


async def test_a_pinned_sender_and_every_optional_parameter_go_by_twilios_names_and_only_if_set() -> None:
    async with scripted(lambda _: http(201, message())) as server:
        await create(server.url, from_number="+15005550006", **{name: given for name, (given, *_) in OPTIONS.items()})
        await create(server.url)
    first, second = (dict(seen.form) for seen in server.seen)
    assert (first["MessagingServiceSid"], first["From"]) == (SERVICE, "+15005550006")
    names = {name for _, name, _ in OPTIONS.values()}
    assert {name: first[name] for name in names} == {name: sent for _, name, sent in OPTIONS.values()}
    assert not (names | {"From"}) & set(second)
    assert set(OPTIONAL) == set(OPTIONS)


async def test_each_of_many_calls_at_once_gets_its_own_answer_over_few_connections() -> None:
    def own(seen: RecordedCall) -> bytes:
        return http(201, message(sid="SM" + dict(seen.form)["Body"].rjust(32, "0")))

    async with scripted(own) as server:
        made = provider(server.url, concurrency=5)
        taken = await asyncio.gather(*(made.create(call(body=f"{n:x}"), FREE) for n in range(100)))
        await made.close()
    assert [one.sid for one in taken if isinstance(one, CreateAccepted)] == [f"SM{n:032x}" for n in range(100)]
    assert server.connections <= 5


async def test_p3_a_call_that_the_last_check_forbids_sends_no_byte_and_gives_its_connection_back() -> None:
    async with scripted(lambda _: http(201, message())) as server:
        made = provider(server.url, concurrency=1)
        for check in (lambda: "opted_out", FREE, lambda: "claim_ttl", FREE, lambda: "lease"):
            result = await made.create(call(), check)
            assert result == (CreateNotSent(why=check()) if check() else result) and result != CreateNotSent(why="")
        await made.close()
    assert len(server.seen) == 2
    assert server.connections == 1


async def test_the_last_check_is_asked_when_the_connection_is_in_hand_not_before() -> None:
    """With one connection, held by a slow call, the second call is asked only after the first has ended."""
    order: list[str] = []
    release = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        await script.handle(reader, writer)

    def noted(name: str) -> Any:
        return lambda: order.append(name)

    script = ScriptedServer(lambda _: http(201, message()))
    server = await asyncio.start_server(slow, "127.0.0.1", 0)
    made = provider(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", concurrency=1)
    first = asyncio.create_task(made.create(call(), noted("first")))
    second = asyncio.create_task(made.create(call(), noted("second")))
    while not order:
        await asyncio.sleep(0)
    first.add_done_callback(lambda _: order.append("answered"))
    release.set()
    await asyncio.gather(first, second)
    await made.close()
    server.close()
    assert order[0] == "first" and order.index("second") > 0
    assert len(script.seen) == 2


async def test_p8_no_number_text_or_secret_is_logged_or_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with scripted(lambda _: error(400, 21211)) as server:
        result = await create(server.url)
    shown = caplog.text + repr(result) + repr(call())
    for secret in (TO, TO[1:], BODY, "a-secret"):
        assert secret not in shown


ELSEWHERE = """
import asyncio, sys
from app.provider.twilio import TwilioProvider
from tests.contracts.test_provider_create import create
print(asyncio.run(create(sys.argv[1])))
"""


async def test_twilios_own_environment_variables_do_not_send_the_call_elsewhere() -> None:
    async with scripted(lambda _: http(201, message())) as server:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "ignore", "-c", ELSEWHERE, server.url),
            env={**os.environ, "TWILIO_EDGE": "dublin", "TWILIO_REGION": "ie1", "PYTHONPATH": "."},
            stdout=subprocess.PIPE,
        )
        said, _ = await process.communicate()
    assert SID in said.decode()
