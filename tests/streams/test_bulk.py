"""Requests of many recipients: parked in one record, and expanded later into exactly what they would have been."""

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.config.tenants import LaneConfig, Tenant
from app.domain.model.inputs import RequestRejected
from app.records.bulk import MOST_AT_ONCE, BulkParked, open_record
from app.records.dead_letters import RETRY_OF
from app.records.seal import Sealer
from app.streams.agents.bulk import PATIENCE_S, BulkPacer
from app.streams.agents.expansion import STEP_BYTES, STEP_RECIPIENTS
from app.streams.engine.agent import Input, Output, UnreadableRecordError
from app.streams.engine.overlay import Overlay
from app.streams.engine.record_fold import fold_whole
from tests.support.expanding import (
    LOGGED_MS,
    NUMBERS,
    SEALER,
    as_read,
    bulk_agent,
    inputs_in,
    intake_agent,
    record,
    request_expansion,
    taken_in,
)

TENANTS = {
    "default": Tenant(name="default", shared_requests=True, lanes={"main": LaneConfig(from_number="+15005550006")}),
    "sandboxed": Tenant(
        name="sandboxed",
        shared_requests=True,
        lanes={"main": LaneConfig(from_number="+15005550006")},
        mode="sandbox",
        allow=("+12125550100",),
    ),
}


def expanded_later(parked: Output) -> list[Output]:
    overlay = Overlay((), {})
    fold_whole(bulk_agent(TENANTS), as_read(parked), overlay)
    return overlay.outputs


def expanded_at_once(asked: Input) -> list[Output]:
    overlay, expansion = Overlay((), {}), request_expansion(TENANTS)
    list(expansion.steps(expansion.read(asked), overlay))
    return overlay.outputs


def opened(output: Output) -> Any:
    """All of an output, its sealed fields opened: each is sealed with chance."""
    value = json.loads(output.value or b"{}")
    subject = value.get("message_id") or value["source"]
    tenant = value.get("tenant", "")
    for name in ("sealed", "sealed_to", "sealed_caller_fields", "payload", "envelope"):
        if name in value:
            value[name] = SEALER.open(value[name], tenant, subject)
    return output._replace(value=value)


# Good numbers, a number twice, impossible ones, what is none, and an address with a channel's prefix.
RECIPIENTS = st.lists(
    st.sampled_from([*NUMBERS, "+1212", "nobody", "", "whatsapp:+12125550101"]), min_size=1, max_size=70
)
OPTIONAL = st.fixed_dictionaries(
    {},
    optional={
        "tenant": st.sampled_from(["default", "sandboxed"]),
        "idempotency_key": st.sampled_from(["k1", "k" * 200]),
        "id": st.just("own-id"),
        "body": st.sampled_from(["x" * 1600, "x" * 1601, "", "Grüße"]),
        "media": st.sampled_from([[], ["https://example.com/a.png"], ["http://example.com/a.png"]]),
        "priority": st.sampled_from(["normal", "bulk", "urgent", "soon"]),
        "category": st.sampled_from(["otp", "marketing"]),
        "sender": st.sampled_from(["main", "nowhere"]),
        "send_at": st.just("2027-06-01T10:00:00+02:00"),
        "campaign": st.just("spring"),
        "metadata": st.just({"order": "A-17"}),
    },
)
HEADERS = st.lists(
    st.sampled_from(
        [
            ("traceparent", b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01"),
            ("traceparent", b"none"),
            (RETRY_OF, b"notify.requests-1-2"),
            ("ce_specversion", b"1.0"),
            ("ce_id", b"event-7"),
            ("foreign", b"\xff\x00"),
        ]
    ),
    max_size=3,
)


@settings(max_examples=300, deadline=None)
@given(RECIPIENTS, OPTIONAL, HEADERS)
def test_a_request_gives_the_same_parked_and_later_or_at_once(to: list[str], more: dict[str, Any], headers: Any):
    asked = record({"to": to, **more}, headers)
    try:
        wanted = expanded_at_once(asked)
    except UnreadableRecordError as refused:
        assert opened(taken_in(asked, TENANTS)[0]).value["rule"] == refused.rule
        return
    found = taken_in(asked, TENANTS)
    parked = [output for output in found if output.topic == "bulk"]
    read = request_expansion(TENANTS).read(asked)
    urgent = read.request is not None and read.request.priority == "urgent"
    assert bool(parked) == (len(read.loose.recipients) > MOST_AT_ONCE and not urgent)
    if parked:
        assert len(found) == 1
        found = expanded_later(parked[0])
    assert [opened(output) for output in found] == [opened(output) for output in wanted]


@given(st.one_of(st.none(), st.binary()), st.lists(st.tuples(st.text(max_size=5), st.none() | st.binary(max_size=9))))
def test_a_parked_record_keeps_key_value_and_headers_to_the_byte(key: bytes | None, headers: Any):
    asked = record(
        {"to": NUMBERS}, [pair for pair in headers if not pair[0].startswith(("ce_", "helio", "trace"))], key
    )
    [parked] = taken_in(asked, TENANTS)
    assert open_record(SEALER, msgspec.json.decode(parked.value or b"", type=BulkParked)) == (
        asked.key,
        asked.value,
        asked.headers,
    )


def test_a_header_whose_name_is_no_valid_text_is_kept():
    [parked] = taken_in(record({"to": NUMBERS}, [("\udcff", b"1")]), TENANTS)
    assert open_record(SEALER, msgspec.json.decode(parked.value or b"", type=BulkParked))[2] == [("\udcff", b"1")]


def test_p8_a_parked_record_shows_its_tenant_and_its_place_and_nothing_of_the_request():
    [parked] = taken_in(record({"to": NUMBERS, "campaign": "spring", "idempotency_key": "k1"}), TENANTS)
    shown = json.loads(parked.value or b"{}")
    assert shown.pop("payload").startswith("k1.") and parked.headers == []
    assert (parked.key, parked.partition) == (b"default", None)
    assert shown == {
        "type": "bulk.parked.v1", "id": "notify.requests-3-17", "tenant": "default", "topic": "notify.requests",
        "partition": 3, "offset": 17, "at": LOGGED_MS,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "rule"),
    [({"id": "notify.requests-3-18"}, "sealed by a known key"), ({"tenant": "sandboxed"}, "sealed by a known key"),
     ({"payload": "k1.AAAA"}, "sealed by a known key"), ({"offset": "x"}, "expected")],
)  # fmt: skip
def test_what_intake_did_not_write_is_a_dead_letter(change: dict[str, Any], rule: str):
    [parked] = taken_in(record({"to": NUMBERS}), TENANTS)
    forged = parked._replace(value=json.dumps(json.loads(parked.value or b"") | change).encode())
    [letter] = expanded_later(forged)
    assert letter.topic == "notify.deadletters" and rule in opened(letter).value["rule"]


def test_a_request_of_a_thousand_bad_numbers_is_one_dead_letter_and_each_is_rejected_with_its_field():
    [parked] = taken_in(record({"to": [f"+1{n:03d}" for n in range(1000)]}), TENANTS)
    outputs = expanded_later(parked)
    assert [opened(o).value["field"] for o in outputs if o.topic == "notify.deadletters"] == ["to[0]"]
    found = inputs_in(outputs)
    assert [r.field for r in found if isinstance(r, RequestRejected)] == [f"to[{n}]" for n in range(1000)]


@pytest.mark.parametrize("body", ["x", "x" * 1600])
@pytest.mark.parametrize("links", [1, 10])
@pytest.mark.parametrize("unknown", [0, 800_000])
def test_what_is_emitted_between_two_breaths_is_bounded_in_number_and_bytes(body: str, links: int, unknown: int):
    to, more = NUMBERS[:25], {"priority": "urgent", "unknown": "x" * unknown}
    urls = [f"https://example.com/{n}/{'a' * 2000}" for n in range(links)]
    asked = record({"to": to, "body": body, "media": urls, "metadata": {"k" * 64: "v" * 500}, **more})
    overlay = Overlay((), {})
    sizes, before = [], 0
    for _ in intake_agent(TENANTS).fold(asked, overlay) or ():
        sizes.append([len(output.value or b"") for output in overlay.outputs[before:]])
        before = len(overlay.outputs)
    assert len(sizes) >= len(to) / STEP_RECIPIENTS
    one = 2 * len(asked.value or b"")  # sealed it is longer by a third
    assert all(len(step) <= STEP_RECIPIENTS and sum(step) <= max(one, 2 * STEP_BYTES) for step in sizes)
    assert len(inputs_in(overlay.outputs)) == len(to)


class Life:
    """Partitions that expand steps under one pacer, on a clock of their own."""

    def __init__(self, rate: float, behind_until_s: float = 0.0) -> None:
        self.now_s = 1000.0
        self.pacer = BulkPacer(rate, lambda: self.now_s)
        self.pacer.behind = lambda: self.now_s < 1000.0 + behind_until_s
        self.begun: list[tuple[float, int]] = []

    def partition(self, steps: list[int]) -> Iterator[float]:
        for recipients in steps:
            yield from self.pacer.waits(recipients)
            self.begun.append((self.now_s - 1000.0, recipients))

    def run(self, *partitions: list[int]) -> list[tuple[float, int]]:
        running = [(self.now_s, number, self.partition(steps)) for number, steps in enumerate(partitions)]
        while running:
            self.now_s, number, partition = min(running, key=lambda one: one[:2])
            running.remove((self.now_s, number, partition))
            wait = next(partition, None)
            if wait is not None:
                assert wait >= 0
                running.append((self.now_s + wait, number, partition))
        return self.begun


STEPS = st.lists(st.lists(st.integers(1, STEP_RECIPIENTS), min_size=1, max_size=12), min_size=1, max_size=8)


@given(STEPS, st.sampled_from([0.5, 7.0, 200.0]))
def test_all_partitions_together_keep_the_rate_and_none_is_left_out(partitions: list[list[int]], rate: float):
    begun = Life(rate).run(*partitions)
    assert sum(n for _, n in begun) == sum(map(sum, partitions))
    done = 0
    for at_s, recipients in begun:
        assert done <= rate * at_s + 1e-6, "a step begins once those before it are paid for"
        done += recipients
    last_s, last = begun[-1]
    assert last_s == pytest.approx((done - last) / rate), "and no later"


def test_without_a_rate_nothing_waits_but_each_step_breathes():
    assert list(BulkPacer(0).waits(20)) == [0.0]


def test_while_the_worker_is_behind_a_step_waits_for_it_but_not_for_ever():
    assert Life(0, behind_until_s=0.35).run([20])[0][0] == pytest.approx(0.4)
    begun = Life(0, behind_until_s=1e9).run([20] * 3)
    assert [at_s for at_s, _ in begun] == pytest.approx([PATIENCE_S * n for n in (1, 2, 3)])


def test_who_does_not_wait_is_not_kept():
    pacer = BulkPacer(0.001, lambda: 0.0)
    pacer.behind = lambda: True
    assert [len(list(pacer.waits(1))) for _ in range(2)] == [21, 1020]


def test_another_key_opens_nothing():
    [parked] = taken_in(record({"to": NUMBERS}), TENANTS)
    with pytest.raises(Exception, match="not sealed by a known key"):
        open_record(Sealer({"k1": b"x" * 32}), msgspec.json.decode(parked.value or b"", type=BulkParked))
