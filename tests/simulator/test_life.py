"""What the simulator calls back, and how: order, signature, retries, chance that can be repeated."""

import asyncio
import random
import signal
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from app.simulator.config import MIX, SimulatorConfig
from app.simulator.recipient import fate
from tests.support.simulated import ACCOUNT, NUMBER, PERSON, SERVICE, TOKEN, eventually, simulating

ROOT = Path(__file__).parents[2]


async def test_a_number_calls_back_three_statuses_and_a_service_one_more_each_signed():
    async with simulating(step_ms=30) as sim:
        plain = await sim.create()
        await eventually(lambda: len(sim.hook.posted) == 3)
        served = await sim.create(messaging_service_sid=SERVICE)
        await eventually(lambda: len(sim.hook.posted) == 7)
    assert sim.hook.statuses == ["sending", "sent", "delivered", "queued", "sending", "sent", "delivered"]
    assert [post.fields["MessageSid"] for post in sim.hook.posted] == [plain.sid] * 3 + [served.sid] * 4
    assert all(post.valid and post.path == "/status?m=1" for post in sim.hook.posted)
    first, last = sim.hook.posted[0].fields, sim.hook.posted[-1].fields
    assert first == {
        "SmsSid": plain.sid, "SmsStatus": "sending", "MessageSid": plain.sid, "MessageStatus": "sending",
        "To": PERSON, "From": NUMBER, "AccountSid": ACCOUNT, "ApiVersion": "2010-04-01",
    }  # fmt: skip
    assert last["MessagingServiceSid"] == SERVICE and len(last["RawDlrDoneDate"]) == 10


ENDS = [
    ("undelivered:30005", ["sending", "sent", "undelivered"], "30005"),
    ("failed:30007", ["failed"], "30007"),
    ("silent", ["sending", "sent"], None),
    ("read", ["sending", "sent", "delivered", "read"], None),
]


@pytest.mark.parametrize(("end", "statuses", "code"), ENDS)
async def test_a_number_can_be_given_its_end(end, statuses, code):
    async with simulating(ends={PERSON: end}) as sim:
        made = await sim.create()
        await eventually(lambda: len(sim.hook.posted) == len(statuses))
        kept = await asyncio.to_thread(sim.sdk.messages(made.sid).fetch)
    assert sorted(sim.hook.statuses) == sorted(statuses)
    assert {post.fields.get("ErrorCode") for post in sim.hook.posted} - {None} == ({code} if code else set())
    assert (kept.status, kept.error_code) == (statuses[-1], int(code) if code else None)


async def test_no_one_is_called_back_who_did_not_ask():
    async with simulating() as sim:
        silent, heard = await sim.create(status_callback=None), await sim.create()
        await eventually(lambda: len(sim.hook.posted) == 3)
    assert {post.fields["MessageSid"] for post in sim.hook.posted} == {heard.sid} != {silent.sid}


async def ends(order: list[str], seed: int) -> dict[str, list[str]]:
    """How the texts to each number ended, in the order they were sent to it."""
    async with simulating(mix=MIX, seed=seed) as sim:
        for number in order:
            await sim.create(to=number, status_callback=None)
        await until_final(sim)
        found: dict[str, list[str]] = {}
        for create in (await sim.get("/_sim/creates"))["creates"]:
            found.setdefault(create["to"], []).append(f"{create['status']} {create['error_code']}")
        return found


async def until_final(sim) -> None:
    """Waits for lives that no callback shows: 1 ms a step."""
    ended = ("delivered", "undelivered", "failed", "sent")
    for _ in range(1000):
        if all(create["status"] in ended for create in (await sim.get("/_sim/creates"))["creates"]):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("some text never ended")


async def test_a_seeded_mix_is_the_same_whatever_the_order_of_arrival():
    numbers = [f"+121255501{n:02d}" for n in range(20)] * 2
    shuffled = random.Random(1).sample(numbers, len(numbers))
    first, second, other = await ends(numbers, 7), await ends(shuffled, 7), await ends(numbers, 8)
    settled = {to: [end.replace("sent None", "delivered None") for end in found] for to, found in first.items()}
    again = {to: [end.replace("sent None", "delivered None") for end in found] for to, found in second.items()}
    assert settled == again
    assert first != other


def test_ends_come_in_the_shares_of_the_mix():
    from app.simulator.recipient import drawn
    from app.simulator.seeded_chance import roll

    found = Counter(drawn(MIX, roll("end", 7, f"+1{n}", 1)) for n in range(20_000))
    assert {end: round(count / 20_000, 2) for end, count in found.items()} == pytest.approx(MIX, abs=0.011)


def test_a_failure_without_a_code_draws_one_of_the_carriers():
    codes = {fate("undelivered", n / 100, service=False).code for n in range(100)}
    assert codes == {30003, 30005, 30006, 30007, 30008}


async def test_callbacks_are_retried_as_the_fragment_says_with_one_token_and_the_fragment_is_never_sent():
    async with simulating(ends={PERSON: "silent"}) as sim:
        sim.hook.answers = [(503, "", b""), (404, "", b"")]
        await sim.create(status_callback=f"{sim.hook.url}/status?m=2#rc=5&rp=all")
        await eventually(lambda: len(sim.hook.posted) == 4)
    by_token = Counter(post.headers["i-twilio-idempotency-token"] for post in sim.hook.posted)
    assert sum(by_token.values()) == 4 and len(by_token) == 2
    assert all(post.valid and post.path == "/status?m=2" for post in sim.hook.posted)


@pytest.mark.parametrize(("fragment", "status", "tries"), [("", 500, 1), ("#rc=2&rp=5xx", 500, 3), ("#rp=4xx", 500, 1)])
async def test_twilio_retries_only_what_its_policy_names(fragment, status, tries):
    async with simulating() as sim:
        sim.hook.answers = [(status, "", b"")] * 5
        heard = await sim.post("/_sim/inbound", **{"from": PERSON, "url": f"{sim.hook.url}/in{fragment}"})
    assert (heard["status"], len(sim.hook.posted)) == (status, tries)


async def test_by_default_a_refused_connection_is_tried_twice():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        async with simulating() as sim:
            heard = await sim.post("/_sim/inbound", **{"from": PERSON, "url": f"http://127.0.0.1:{port}/in"})
            counts = await sim.get("/_sim/calls")
    assert (heard["status"], counts["posts_0"]) == (0, 2)


RAW = [
    (b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 2\r\n\r\nok", 200, "ok"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3;x=y\r\ncde\r\n0\r\n\r\n", 200, "abcde"),
    (b"HTTP/1.0 202 Accepted\r\n\r\nuntil the end", 202, "until the end"),
    (b"HTTP/1.1 204 No Content\r\n\r\n", 204, ""),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut", 0, ""),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 0, ""),
    (b"no http at all\r\n\r\n", 0, ""),
    (b"", 0, ""),
]


@pytest.mark.parametrize(("raw", "status", "body"), RAW, ids=lambda value: str(value)[:40])
async def test_any_answer_of_a_webhook_is_read_or_counted_as_none(raw, status, body):
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(raw)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/in"
    async with simulating() as sim:
        heard = await sim.post("/_sim/inbound", **{"from": PERSON, "url": url})
    server.close()
    assert (heard["status"], heard["body"]) == (status, body)


async def test_a_webhook_that_hangs_is_given_up_after_its_read_time():
    hung = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await hung.wait()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/in#rt=100"
    async with simulating() as sim:
        heard = await asyncio.wait_for(sim.post("/_sim/inbound", **{"from": PERSON, "url": url}), 5)
    hung.set()
    server.close()
    assert heard["status"] == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"mix": {"lost": 1}},
        {"mix": {"silent": 0}},
        {"ends": {PERSON: "failed:x"}},
        {"ends": {"nobody": "failed"}},
        {"scripts": {"nobody": {}}},
        {"mps_of": {"nobody": 1}},
        {"inbound_url": "nowhere"},
        {"fallback_url": "http://"},
        {"step_ms": -1},
        {"x": 1},
    ],
)
async def test_a_configuration_that_makes_no_sense_is_refused_and_nothing_changes(wrong):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"account_sid": ACCOUNT, "auth_token": TOKEN, **wrong}, SimulatorConfig)
    async with simulating() as sim:
        before = await sim.get("/_sim/config")
        assert (await sim.http.post("/_sim/config", json=wrong)).status_code == 400
        assert await sim.get("/_sim/config") == before
    assert TOKEN not in str(before)


async def test_the_mix_can_be_changed_while_it_runs():
    async with simulating() as sim:
        told = await sim.post("/_sim/config", ends={PERSON: "failed:30006"})
        await sim.create()
        await eventually(lambda: "failed" in sim.hook.statuses)
    assert told["ends"] == {PERSON: "failed:30006"} and told["mix"] == {"delivered": 1.0}


def simulator(*options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "app", "simulator", "--port", "0", "--json", *options]
    return subprocess.Popen(command, cwd=ROOT, env={}, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_the_command_says_one_line_when_it_is_ready_and_ends_at_sigterm():
    process = simulator("--mix", '{"silent": 1}')
    try:
        line = msgspec.json.decode(process.stdout.readline())
        host, port = line["simulator"].removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), 5) as line_of_ours:
            line_of_ours.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert line_of_ours.recv(100).startswith(b"HTTP/1.1 200")
        process.send_signal(signal.SIGTERM)
        rest, errors = process.communicate(timeout=10)
    finally:
        process.kill()
    assert (process.returncode, rest, errors) == (0, b"", b"")
    assert line["pid"] == process.pid


@pytest.mark.parametrize("options", [["--mix", "{"], ["--mix", '{"lost": 1}'], ["--step-ms", "-1"]])
def test_the_command_ends_with_2_when_its_options_make_no_sense(options):
    process = simulator(*options)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 2 and b"Traceback" not in errors
