"""What waits at Twilio: a sender's queue, schedules, validity; and what is canceled, redacted, deleted, forgotten."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.base.exceptions import TwilioRestException

from app.simulator.config import SimulatorConfig
from app.simulator.message_pages import page
from app.simulator.queues import SenderQueues
from app.simulator.rules import CreateForm, refusal
from app.simulator.state import SimulatorState
from app.simulator.text import StoredText
from tests.support.simulated import ACCOUNT, NUMBER, PERSON, SERVICE, TOKEN, eventually, simulating

OTHER = "+14155550124"
LONG = "x" * 306  # two segments


async def code_of(sim, **given) -> int:
    """201, or the code of the error."""
    try:
        await sim.create(**given)
    except TwilioRestException as error:
        return error.code
    return 201


async def fetched(sim, sid):
    return await asyncio.to_thread(sim.sdk.messages(sid).fetch)


@given(st.lists(st.tuples(st.integers(1, 10), st.floats(0, 5)), max_size=30), st.floats(0.1, 100))
def test_a_sender_never_sends_faster_than_its_rate_nor_rests_while_texts_wait(texts, rate):
    queue, now, leaves, parts = SenderQueues(), 1000.0, [], []
    for segments, pause in texts:
        now += pause
        left = queue.enter(NUMBER, segments, rate, now)
        free = leaves[-1] + parts[-1] / rate if leaves else 0.0
        assert left == pytest.approx(max(now, free))
        leaves.append(left)
        parts.append(segments)
    assert leaves == sorted(leaves)


async def test_texts_leave_a_sender_one_after_another_at_its_rate_in_segments_and_another_sender_is_free():
    async with simulating(mps_of={NUMBER: 10}) as sim:
        began = time.monotonic()
        await sim.create(body=LONG)
        await sim.create(body=LONG)
        last = await sim.create(body="x")
        free = await sim.create(from_="+14155550199")
        await eventually(lambda: len(sim.hook.posted) == 12)
        took = time.monotonic() - began
    order = [post.fields["MessageSid"] for post in sim.hook.posted if post.fields["MessageStatus"] == "sending"]
    assert order.index(free.sid) < order.index(last.sid) == 3
    assert took >= 0.4


async def test_a_full_queue_refuses_a_number_and_fails_the_text_of_a_service():
    async with simulating(mps=0.1, queue_s=15) as sim:
        assert [await code_of(sim) for _ in range(3)] == [201, 201, 21611]
        assert await code_of(sim, from_="+14155550199") == 201
        made = await sim.create(messaging_service_sid=SERVICE)
        await eventually(lambda: [p for p in sim.hook.posted if p.fields["MessageStatus"] == "failed"])
        assert (await fetched(sim, made.sid)).error_code == 30001


async def test_a_text_whose_validity_is_over_before_its_sender_is_free_fails_and_is_never_sent():
    async with simulating(mps=0.2) as sim:
        await sim.create()
        made = await sim.create(validity_period=1)
        await eventually(lambda: [p for p in sim.hook.posted if p.fields["MessageSid"] == made.sid])
        kept = await fetched(sim, made.sid)
    (told,) = [post.fields for post in sim.hook.posted if post.fields["MessageSid"] == made.sid]
    assert (told["MessageStatus"], told["ErrorCode"], kept.status, kept.error_code) == (
        "failed", "30036", "failed", 30036
    )  # fmt: skip


FIXED = {"messaging_service_sid": SERVICE, "schedule_type": "fixed"}


def ahead(**given: float) -> str:
    return f"{datetime.now(UTC) + timedelta(**given):%Y-%m-%dT%H:%M:%SZ}"


async def test_a_schedule_keeps_to_twilios_window():
    async with simulating() as sim:
        for given, code in (
            ({**FIXED, "send_at": ahead(seconds=290)}, 35115),
            ({**FIXED, "send_at": ahead(seconds=320)}, 201),
            ({**FIXED, "send_at": ahead(days=34, hours=23)}, 201),
            ({**FIXED, "send_at": ahead(days=35, seconds=10)}, 35115),
            ({**FIXED, "send_at": f"{datetime.now(UTC) + timedelta(hours=3):%Y-%m-%dT%H:%M:%S}+02:00"}, 35114),
            ({**FIXED, "send_at": f"{datetime.now(UTC) + timedelta(hours=3):%Y-%m-%dT%H:%M:%S}"}, 35114),
            (FIXED, 35111),
            ({**FIXED, "schedule_type": "optimize", "send_at": ahead(hours=1)}, 35126),
            ({"schedule_type": "fixed", "send_at": ahead(hours=1)}, 201),
        ):
            assert (given, await code_of(sim, **given)) == (given, code)
        statuses = [create["status"] for create in (await sim.get("/_sim/creates"))["creates"]]
    # Without a service Twilio knows no schedule: the last one was sent at once.
    assert statuses[:2] == ["scheduled", "scheduled"] != statuses[2:]


async def test_whoever_says_stop_before_a_scheduled_text_goes_does_not_get_it():
    async with simulating(schedule_min_s=0) as sim:
        made = await sim.create(**FIXED, send_at=ahead(seconds=2))
        await sim.post("/_sim/inbound", **{"from": PERSON, "body": "STOP", "messaging_service": SERVICE})
        await eventually(lambda: [p for p in sim.hook.posted if p.fields.get("MessageStatus") == "failed"])
        assert (await fetched(sim, made.sid)).error_code == 21610


@pytest.mark.parametrize(
    "update", [{}, {"status": "sent"}, {"body": "other"}, {"status": "canceled", "body": ""}], ids=str
)
async def test_an_update_that_is_neither_a_cancel_nor_a_redaction_is_refused(update):
    async with simulating() as sim:
        made = await sim.create()
        with pytest.raises(TwilioRestException) as refused:
            await asyncio.to_thread(sim.sdk.messages(made.sid).update, **update)
    assert refused.value.code == 30400


async def test_a_text_is_deleted_only_when_it_has_ended_and_stays_among_the_creates():
    async with simulating() as sim:
        stuck, made = await sim.create(to="+15005550112"), await sim.create()
        await eventually(lambda: "delivered" in sim.hook.statuses)
        with pytest.raises(TwilioRestException) as early:
            await asyncio.to_thread(sim.sdk.messages(stuck.sid).delete)
        assert await asyncio.to_thread(sim.sdk.messages(made.sid).delete)
        with pytest.raises(TwilioRestException) as gone:
            await fetched(sim, made.sid)
        left = await asyncio.to_thread(sim.sdk.messages.list)
        creates = (await sim.get("/_sim/creates"))["creates"]
    assert (early.value.status, early.value.code, gone.value.code) == (409, 20009, 20404)
    assert [text.sid for text in left] == [stuck.sid]
    assert [create["sid"] for create in creates] == [stuck.sid, made.sid]


async def test_what_the_caller_wants_forgotten_is_hidden_once_the_text_has_ended():
    async with simulating() as sim:
        made = await sim.create(content_retention="discard", address_retention="obfuscate")
        await eventually(lambda: "delivered" in sim.hook.statuses)
        kept = await fetched(sim, made.sid)
    assert (made.body, made.to) == ("hello", PERSON)
    assert (kept.body, kept.to) == ("", PERSON[:-4] + "XXXX")


def state(keep: int) -> SimulatorState:
    return SimulatorState(SimulatorConfig(account_sid=ACCOUNT, auth_token=TOKEN, keep=keep))


def some_text(number: int) -> StoredText:
    return StoredText(
        sid=f"SM{number:032x}", to=f"+1212555{number % 10_000:04d}", sender=NUMBER, status="sent", created_at=0.0
    )


@given(st.integers(1, 200), st.integers(0, 700))
def test_of_very_many_texts_the_oldest_are_forgotten_and_indices_go_on(keep, number):
    known = state(keep)
    for n in range(number):
        known.accept(some_text(n))
    assert min(number, keep) <= len(known.texts) <= keep + keep // 64 + 1
    assert known.forgotten + len(known.creates) == number == known.counts["accepted"]
    assert [text.index for text in known.creates] == list(range(known.forgotten, number))
    assert list(known.texts) == [text.sid for text in known.creates]
    assert sum(len(texts) for texts in known._to.values()) == len(known.texts)
    assert known._sent_to.keys() == known._to.keys()


async def test_creates_are_told_from_an_index_on_when_the_first_were_forgotten():
    async with simulating(keep=2) as sim:
        sids = [(await sim.create()).sid for _ in range(5)]
        told = await sim.get("/_sim/creates?since=1")
        some = await sim.get("/_sim/creates?since=4")
    assert told["count"] == 5
    assert [(create["idx"], create["sid"]) for create in told["creates"]] == [(3, sids[3]), (4, sids[4])]
    assert [create["idx"] for create in some["creates"]] == [4]


async def test_a_list_is_filtered_by_sender_and_by_the_second_and_a_date_that_is_none_is_a_400():
    async with simulating() as sim:
        await sim.create()
        other = await sim.create(from_="+14155550199", to=OTHER)
        await eventually(lambda: sim.hook.statuses.count("delivered") == 2)
        found = await asyncio.to_thread(sim.sdk.messages.list, from_="+14155550199")
        at = (await fetched(sim, other.sid)).date_sent
        path = f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
        asked = {
            f"DateSent={at:%Y-%m-%dT%H:%M:%SZ}": 1,
            f"DateSent>={at:%Y-%m-%dT%H:%M:%SZ}&DateSent<={at:%Y-%m-%dT%H:%M:%SZ}": 1,
            f"DateSent={at + timedelta(days=1):%Y-%m-%d}": 0,
            f"DateSent<={at - timedelta(seconds=1):%Y-%m-%dT%H:%M:%SZ}": 0,
            f"DateSent<={at:%Y-%m-%d}": 1,
        }
        for query, count in asked.items():
            told = await sim.http.get(f"{path}?To=%2B14155550124&{query}", auth=(ACCOUNT, TOKEN))
            assert (query, len(told.json()["messages"])) == (query, count)
        for wrong in ("DateSent=soon", "DateSent=9999-12-31", "DateSent>=2026-13-01"):
            told = await sim.http.get(f"{path}?{wrong}", auth=(ACCOUNT, TOKEN))
            assert (told.status_code, told.json()["code"]) == (400, 20001)
    assert [text.sid for text in found] == [other.sid]


FIELDS = ["To", "From", "Body", "MessagingServiceSid", "MediaUrl", "StatusCallback", "ValidityPeriod", "SendAt"]
VALUES = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        [PERSON, NUMBER, SERVICE, "fixed", "²", "9" * 5000, "http://[", "2026-13-01", "0001-01-01T00:00:00Z"]
    ),
)


@given(st.lists(st.tuples(st.sampled_from([*FIELDS, "ScheduleType", "ContentVariables"]), VALUES), max_size=12))
def test_any_form_is_taken_or_refused_with_a_code(form):
    found = refusal(CreateForm.read(form), state(9), 1.0)
    assert found is None or (20000 < found.code < 70000 and 400 <= found.status < 500)


@given(st.integers(0, 40), st.integers(1, 7), st.lists(st.integers(0, 3), max_size=45))
def test_pages_hold_every_text_once_newest_first_whatever_arrives_meanwhile(number, size, arrivals):
    known, pauses = state(1000), iter(arrivals)
    for n in range(number):
        known.accept(some_text(n))
    before, seen, query = list(known.texts)[::-1], [], {"PageSize": str(size)}
    while True:
        told = page(known, "/x", query)
        assert len(told["messages"]) <= size and told["page"] == int(query.get("Page", 0))
        seen += [text["sid"] for text in told["messages"]]
        for _ in range(next(pauses, 0)):
            known.accept(some_text(len(known.texts)))
        if not told["next_page_uri"]:
            break
        query = dict(parse_qsl(told["next_page_uri"].partition("?")[2]))
    assert seen == before
