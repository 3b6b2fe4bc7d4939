"""Whatever numbers the records of a lane hold: each is refused, or the lane goes on and so does its next owner."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app import clock
from app.domain.model.vocabulary import ErrorClass
from app.streams.engine.agent import Input, UnreadableRecordError
from tests.streams.test_circuits import CONTACT, Owner

numbers = st.integers(0, 5) | st.integers() | st.sampled_from([2**53 - 1, 2**53, 2**63, 10**400, -(10**400)])
common = {"tenant": st.just("acme"), "lane": st.just("main")}
of_message = {"message_id": st.sampled_from([f"{CONTACT}-{n:020x}" for n in range(3)]), "attempt": numbers}
records = st.one_of(
    st.fixed_dictionaries(
        {"type": st.just("lane.asked.v1"), **common, **of_message, "priority": st.just("normal"), "segments": numbers,
         "expires_ms": numbers}
    ),
    st.fixed_dictionaries({"type": st.just("lane.answered.v1"), **common, **of_message, "taken": st.booleans()}),
    st.fixed_dictionaries(
        {"type": st.just("lane.slowed.v1"), **common, "error": st.sampled_from([*ErrorClass]), "hold_ms": numbers,
         "code": numbers, "begun_ms": numbers, "probe": st.booleans()}
    ),
    st.fixed_dictionaries({"type": st.just("lane.proved.v1"), **common}),
    st.fixed_dictionaries(
        {"type": st.just("lane.inbound_looked.v1"), "tenant": st.just("acme"), "until_ms": numbers}
    ),
)  # fmt: skip


@given(st.lists(records, max_size=8), st.sampled_from([0.0, 10.0]))
def test_no_number_ends_a_lane_or_its_next_owner(script: Sequence[dict[str, Any]], rate: float) -> None:
    asyncio.run(_story(script, rate))


async def _story(script: Sequence[dict[str, Any]], rate: float) -> None:
    owner = Owner(rate=rate)
    for record in script:
        _fold(owner, json.dumps(record).encode())
        owner.tick()
    Owner(owner.rows, rate=rate).tick()


def _fold(owner: Owner, raw: bytes) -> None:
    try:
        owner.agent.fold(Input("lanes", 0, 0, clock.now_ms(), b"acme", raw, []), owner.rows)  # type: ignore[arg-type]
    except UnreadableRecordError as refused:
        assert refused.field in ("attempt", "segments", "expires_ms", "hold_ms", "code", "begun_ms", "until_ms")
