"""From a durable claim to the answer on the log: what may leave, what must not, and that it is always told (P1-P4)."""

import asyncio

import msgspec
import pytest
from structlog.testing import capture_logs

from app.domain.model.vocabulary import CreateResult, DeliveryStatus, ErrorClass
from app.provider.provider_api import CreateAccepted, CreateRejected, CreateUnknown
from app.records.seal import UnsealError
from tests.support.calling import CREATE, Exchange, settled


async def test_a_claim_is_called_and_its_answer_told():
    made = Exchange()
    await made.start()
    await made.answer()
    [told] = made.told
    assert (told.answer, told.sid, told.progress, told.segments) == (
        CreateResult.TAKEN,
        "SM1",
        DeliveryStatus.QUEUED,
        2,
    )
    assert (told.message_id, told.attempt, told.tenant, told.pk) == ("c1-m", 1, "acme", "11111111")
    assert told.started_ms > 0 and made.calls.in_flight == 0


async def test_a_claim_older_than_its_time_is_abandoned_when_the_connection_is_in_hand_and_says_so():
    made = Exchange()
    await made.start()
    made.boot_s += 5.001
    await made.answer()
    assert (made.words, made.wire.count["left"]) == ([("abandoned", "claim_ttl")], 0)
    assert made.told[0].started_ms == 0


async def test_a_claim_just_within_its_time_leaves():
    made = Exchange()
    await made.start()
    made.boot_s += 5.0
    await made.answer()
    assert made.words == [("taken", "")]


async def test_a_claim_whose_time_went_by_in_the_queue_is_not_even_given_a_connection():
    made = Exchange(concurrency=1)
    await made.start(1)
    await made.start(2)
    await made.connect()
    made.boot_s += 6
    await made.answer()
    assert sorted(made.words) == [("abandoned", "claim_ttl"), ("taken", "")]
    assert made.wire.most == 1 and made.wire.count["left"] == 1


async def test_p2_without_the_lease_nothing_is_called():
    made = Exchange()
    made.leased = False
    await made.start()
    assert (made.words, made.wire.most) == ([("abandoned", "lease")], 0)


async def test_p2_a_lease_that_goes_while_the_connection_is_made_keeps_the_call_back():
    made = Exchange()
    await made.start()
    made.leased = False
    await made.answer()
    assert (made.words, made.wire.count["left"]) == ([("abandoned", "lease")], 0)


async def test_p3_a_stop_keeps_back_the_calls_of_its_contact_that_have_not_left_and_no_others():
    made = Exchange()
    await made.start(1)
    await made.start(2)
    made.calls.stop_contact("c1")
    await made.answer()
    assert {told.message_id: told.why for told in made.told} == {"c1-m": "opted_out", "c2-m": ""}
    assert made.wire.count["left"] == 1


async def test_a_call_that_has_left_is_answered_though_a_stop_comes_meanwhile():
    made = Exchange()
    await made.start()
    await made.connect()
    made.calls.stop_contact("c1")
    await made.answer()
    assert made.words == [("taken", "")]


async def test_p3_a_claim_withdrawn_before_it_starts_is_not_called():
    made = Exchange()
    await made.start(withdrawn="opted_out")
    assert (made.words, made.wire.most) == ([("abandoned", "opted_out")], 0)


async def test_p4_closing_waits_for_the_calls_that_have_left_and_their_answers():
    made = Exchange()
    await made.start(1)
    await made.connect()
    closing = asyncio.ensure_future(made.calls.close())
    await settled()
    assert not closing.done() and made.told == []
    await made.answer()
    await closing
    assert made.words == [("taken", "")]


async def test_closing_lets_nothing_more_leave_and_says_so():
    made = Exchange(concurrency=1)
    await made.start(1)
    await made.start(2)
    closing = asyncio.ensure_future(made.calls.close())
    await settled()
    await made.answer()
    await closing
    assert (made.words, made.wire.count["left"]) == ([("abandoned", "worker_stopping")] * 2, 0)


async def test_p7_calls_at_once_are_bounded_for_each_tenant_by_itself():
    made = Exchange("acme", "beta", concurrency=3)
    for number in range(10):
        await made.start(number)
    await made.start(10, "beta")
    await made.connect()
    assert {name: wire.count["left"] for name, wire in made.wires.items()} == {"acme": 3, "beta": 1}
    await made.answer()
    assert (made.wire.most, len(made.told), made.calls.in_flight) == (3, 11, 0)


async def test_claims_that_wait_leave_less_room_for_turns_and_give_it_back_when_they_are_called():
    made = Exchange(concurrency=3)
    before = made.calls.room("acme")
    for number in range(10):
        await made.start(number)
    assert made.calls.room("acme") == before - 10
    await made.answer()
    assert made.calls.room("acme") >= before


async def test_slow_calls_leave_room_only_for_those_that_can_be_made_at_once():
    made = Exchange(concurrency=3)
    for number in range(30):
        claim = await made.start(number)
        made.boot_s += 4.0
        await made.answer()
        made.wire.answered.clear()
        assert claim.started_ms > 0
    assert 3 <= made.calls.room("acme") <= 6


async def test_turns_folded_late_leave_room_only_to_find_out_when_that_is_over():
    made = Exchange(concurrency=3)
    await made.start(1, claimed_s=made.boot_s - 20)
    assert made.calls.room("acme") == 3
    await made.start(2)
    assert made.calls.room("acme") > 3


async def test_a_tenant_that_left_the_settings_is_told_as_abandoned():
    made = Exchange()
    await made.start(tenant="gone")
    assert made.words == [("abandoned", "unknown_tenant")]


@pytest.mark.parametrize("fault", [UnsealError("no key"), KeyError("lane")])
async def test_a_seal_or_lane_that_is_gone_is_a_fault_of_set_up_and_nothing_is_sent(fault: Exception):
    def compose():
        raise fault

    made = Exchange()
    await made.start(compose=compose)
    [told] = made.told
    assert (told.answer, told.error, made.wire.most) == (CreateResult.REFUSED, ErrorClass.CONFIGURATION, 0)


FAULTS = [ValueError("to +14155550123"), KeyError("body"), ZeroDivisionError(), RecursionError()]


async def struck(**faults: Exception) -> Exchange:
    """A call that met faults of ours, `early` or `late`."""
    made = Exchange()
    for when, fault in faults.items():
        setattr(made.wire, when, fault)
    await made.start()
    await made.answer()
    return made


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
async def test_p2_a_fault_of_ours_before_the_call_left_is_proof_that_nothing_was_sent_and_the_message_waits(fault):
    made = await struck(early=fault)
    [told] = made.told
    assert (told.answer, told.error, told.http_status, told.code) == (
        CreateResult.REFUSED,
        ErrorClass.TRANSIENT,
        0,
        None,
    )
    assert made.faults == {"acme": 1}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
async def test_p2_a_fault_of_ours_once_the_call_may_have_left_is_in_doubt(fault):
    made = await struck(late=fault)
    assert made.words == [("doubtful", f"fault of ours: {type(fault).__name__}")]
    assert made.told[0].started_ms > 0 and made.faults == {"acme": 1}


async def test_a_message_that_meets_a_fault_of_ours_ends_no_worker_and_holds_up_no_other_call():
    def compose():
        raise ZeroDivisionError

    made = Exchange(concurrency=1)
    for number in range(3):
        await made.start(number, compose=compose)
    await made.start(4)
    await made.answer()
    assert [told.answer for told in made.told] == [CreateResult.REFUSED] * 3 + [CreateResult.TAKEN]
    assert (made.failed, made.calls.in_flight, made.faults) == ([], 0, {"acme": 3})


async def test_p8_a_fault_of_ours_is_logged_by_its_type_and_place_and_by_nothing_that_it_says():
    made = Exchange()
    made.wire.early = ValueError("to +14155550123")
    with capture_logs() as logs:
        await made.start()
        await made.answer()
    [line] = logs
    assert (line["event"], line["log_level"], line["fault"]) == ("call.faulted", "error", "ValueError")
    assert line["frames"][-1].endswith(":create") and "4155550123" not in str(line)


RESULTS = [
    (
        CreateAccepted(sid="SM7", progress=DeliveryStatus.ACCEPTED, segments=1),
        {"answer": CreateResult.TAKEN, "sid": "SM7"},
    ),
    (
        CreateRejected(code=20429, error=ErrorClass.THROTTLED, http_status=429, retry_after_ms=2000),
        {
            "answer": CreateResult.REFUSED,
            "code": 20429,
            "http_status": 429,
            "retry_after_ms": 2000,
            "progress": DeliveryStatus.CLAIMED,
        },
    ),
    (
        CreateUnknown(why="http 500", http_status=500),
        {"answer": CreateResult.DOUBTFUL, "why": "http 500", "http_status": 500, "progress": DeliveryStatus.CLAIMED},
    ),
]


@pytest.mark.parametrize(("result", "wanted"), RESULTS)
async def test_what_twilio_said_is_told_in_full(result, wanted):
    made = Exchange()
    made.wire.result = result
    await made.start()
    await made.answer()
    [told] = made.told
    assert {name: getattr(told, name) for name in wanted} == wanted and told.started_ms > 0


async def test_p8_an_answer_that_cannot_be_kept_ends_the_process_and_says_nothing_of_its_content():
    made = Exchange()
    made.put_fault = "to +14155550123: the disk is full"
    await made.start()
    await made.answer()
    assert made.failed == ["an answer cannot be kept: OSError"]


async def test_turns_follow_what_the_account_allows_at_once_when_twilio_throttles_it():
    made = Exchange(concurrency=8)
    before, gate = made.calls.room("acme"), made.gates["acme"]
    gate.answered(gate.begin(), 429, {})
    assert made.calls.room("acme") * 2 == before


STAMPED = {
    "a landline that takes no picture": (21614, ErrorClass.NUMBER_INVALID, ("https://example.com/a.png",),
                                         (ErrorClass.MMS_IMPOSSIBLE, 0)),
    "a landline": (21614, ErrorClass.NUMBER_INVALID, (), (ErrorClass.NUMBER_INVALID, 1)),
    "an impossible number": (21211, ErrorClass.NUMBER_INVALID, (), (ErrorClass.NUMBER_INVALID, 1)),
    "credentials": (20003, ErrorClass.CONFIGURATION, (), (ErrorClass.CONFIGURATION, 0)),
}  # fmt: skip


@pytest.mark.parametrize("name", STAMPED)
async def test_a_refusal_is_stamped_with_what_its_code_means_for_this_call(name: str) -> None:
    code, error, media, expected = STAMPED[name]
    exchange = Exchange()
    exchange.wire.result = CreateRejected(code=code, error=error, http_status=400)
    await exchange.start(compose=lambda: msgspec.structs.replace(CREATE, media=media))
    await exchange.answer()
    assert [(told.error, told.invalid_after, told.code) for told in exchange.told] == [(*expected, code)]
