"""Whatever stands on a contact's log: its row stays within its limits, and a replay refuses what the worker refused."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

import msgspec
from hypothesis import given as cases
from hypothesis import settings
from hypothesis import strategies as st

from app.domain.handlers import reconciliation, requests
from app.domain.model.contact import Contact
from app.domain.model.row_limits import row_bytes
from app.domain.model.vocabulary import DeliveryStatus
from app.streams.agents import row_guard
from app.streams.agents.contact_fold import CONTACTS
from app.streams.agents.row_guard import RowGuard
from tests.properties.test_fold import fire, inputs
from tests.support.crashing import TOPICS, CrashingWorker
from tests.support.given import START_MS, ContactLog, cancel, doubtful, listed, rejected, report, requested, seen, turn

KEYS = st.integers(0, 3).map("{:020x}".format)
# Small limits, that a few inputs reach.
LIMIT = 6_500
TEXT = st.text(st.characters(codec="utf-8"), max_size=9)


@st.composite
def sized(draw):
    """Requests of all sizes, with what is longer in JSON than it is among it."""
    pad = draw(TEXT) * draw(st.integers(0, 200))
    key, fields = draw(KEYS), {"sealed_caller_fields": pad}
    asking = requested(key, expires_ms=START_MS + draw(st.sampled_from([3_600_000, 900_000_000])))
    return msgspec.structs.replace(draw(st.sampled_from([asking, rejected(key)])), **fields)


growing = st.one_of(
    sized(),
    inputs(),
    st.integers(0, 99).map("{:020x}".format).map(cancel),
    KEYS.map(lambda key: turn(key=key)),
    st.builds(
        lambda key, code: report(DeliveryStatus.UNDELIVERED, 1, f"SM{key}", 30000 + code, key=key),
        KEYS,
        st.integers(0, 99),
    ),
    st.builds(
        lambda count, key: listed(*(seen(f"SM{n}") for n in range(count)), keys=(key,)), st.integers(0, 30), KEYS
    ),
    st.integers(0, 9),
)


@settings(max_examples=150, deadline=None)
@cases(st.lists(growing, max_size=40))
def test_the_bound_of_a_row_is_never_below_its_length(history):
    log, guard = ContactLog(), RowGuard()
    for step in [requested(), *history]:
        before = log.contact
        fire(log, step) if isinstance(step, int) else log.then(step)
        if log.last is not None:
            record, folded = log.last
            assert guard.limit_broken(b"c", before, record, len(msgspec.json.encode(record)), folded) is None
            watermark, bound = guard._bounds[b"c"]
            assert watermark == log.contact.watermark and bound >= row_bytes(log.contact)


@contextmanager
def small() -> Iterator[None]:
    limits = [
        (requests, "ACTIVE_BYTES", 1_500),
        (requests, "MOST_CANCELS_AHEAD", 20),
        (reconciliation, "MOST_LISTED", 20),
        (row_guard, "GROWTH_BYTES", 5_000),
        (row_guard, "ROW_BYTES", LIMIT),
    ]
    with ExitStack() as stack:
        for module, name, value in limits:
            stack.enter_context(patch.object(module, name, value))
        yield


steps = st.one_of(
    st.tuples(st.just("write"), growing.filter(lambda step: not isinstance(step, int))),
    st.tuples(st.just("fire"), st.integers(0, 9)),
    st.tuples(st.just("cycle"), st.one_of(st.none(), st.integers(0, 3))),
)


@settings(max_examples=60, deadline=None)
@cases(st.lists(steps, min_size=15, max_size=40))
def test_p6_no_row_is_longer_than_its_limit_and_a_replay_refuses_the_same_wherever_the_worker_died(history):
    worker = CrashingWorker()
    for record in (requested(), turn(), doubtful()):
        worker.write(record)
    with small(), tempfile.TemporaryDirectory() as directory:
        for what, given in history:
            getattr(worker, what)(given)
            for row in worker.rows[CONTACTS].values():
                assert len(row) == row_bytes(msgspec.json.decode(row, type=Contact)) <= LIMIT
        worker.cycle()
        proof = worker.prove(Path(directory))
    assert proof.told == []
    assert proof.compared == {table: len(rows) for table, rows in worker.rows.items()}


@settings(max_examples=60, deadline=None)
@cases(st.lists(sized(), min_size=8, max_size=25), st.data())
def test_p1_every_request_has_one_outcome_or_is_open_however_full_the_row_is(asked, data):
    worker = CrashingWorker()
    outcomes: dict[str, set[bytes]] = {}
    with small():
        for record in asked:
            worker.write(record)
            if data.draw(st.booleans()):
                for output in worker.cycle(data.draw(st.one_of(st.none(), st.integers(0, 2)))):
                    if output.topic == TOPICS.outcomes:
                        outcomes.setdefault(output.key.decode(), set()).add(output.value)
        for output in worker.cycle():
            if output.topic == TOPICS.outcomes:
                outcomes.setdefault(output.key.decode(), set()).add(output.value)
    open_now = {message.id for contact in worker.contacts() for message in contact.messages.values()}
    assert open_now | set(outcomes) == {record.message_id for record in asked}
    assert not open_now & set(outcomes) and all(len(contents) == 1 for contents in outcomes.values())
