"""P6 as a property: whatever a worker did and wherever it died, its rows are what the log folds to; what was touched shows."""

import json
import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import given as cases
from hypothesis import settings
from hypothesis import strategies as st

from app.domain.model.vocabulary import DeliveryStatus, ErrorClass, Intent
from app.streams.agents.contact_fold import CONTACTS, MESSAGES
from app.streams.engine.agent import Output
from app.streams.replay.verification import RowVerification
from tests.properties.test_fold import inputs
from tests.support.crashing import TOPICS, CrashingWorker
from tests.support.given import (
    CONTACT,
    HOUR_MS,
    KEY,
    START_MS,
    cancel,
    doubtful,
    listed,
    rejected,
    report,
    requested,
    seen,
    taken,
    text,
    turn,
)

# Of three messages of one contact, of whom a list or an answer may tell several.
KEYS = (KEY, "b" * 20, "d" * 20)
several = st.sampled_from(
    [step for key in KEYS for step in (requested(key), turn(key=key), doubtful(key=key), taken(1, f"SM{key[0]}", key))]
    + [
        listed(seen(f"SM{key[0]}", progress), keys=KEYS)
        for key in KEYS
        for progress in (DeliveryStatus.SENT, DeliveryStatus.DELIVERED)
    ]
    + [
        report(DeliveryStatus.UNDELIVERED, 1, f"SM{k[0]}", 30003, ErrorClass.NUMBER_UNREACHABLE, k, invalid_after=2)
        for k in KEYS
    ]
    + [report(DeliveryStatus.UNDELIVERED, 1, f"SM{k[0]}", 30017, ErrorClass.TRANSIENT, k) for k in KEYS]
    + [report(DeliveryStatus.DELIVERED, 1, f"SM{k[0]}", key=k) for k in KEYS]
)
opted_out = st.builds(
    lambda n: report(DeliveryStatus.UNDELIVERED, n, f"SM{n}", 30004, ErrorClass.OPTED_OUT), st.integers(1, 2)
)
steps = st.one_of(
    st.tuples(st.just("write"), st.one_of(inputs(), opted_out, several)),
    st.tuples(st.just("write"), st.sampled_from([b"{broken", b'{"type":"contact.guessed.v1"}'])),
    st.tuples(st.just("fire"), st.integers(0, 9)),
    st.tuples(st.just("cycle"), st.one_of(st.none(), st.integers(0, 3))),
)


def ran(history: list[tuple[str, object]]) -> CrashingWorker:
    worker = CrashingWorker()
    worker.write(requested())
    for what, given in history:
        getattr(worker, what)(given)
    worker.cycle()
    return worker


def proved(worker: CrashingWorker, start: int = 0) -> RowVerification:
    with tempfile.TemporaryDirectory() as directory:
        return worker.prove(Path(directory), start)


@settings(max_examples=80, deadline=None)
@cases(st.lists(steps, max_size=30))
def test_p6_rows_are_what_the_log_folds_to_wherever_the_worker_died(history):
    worker = ran(history)
    proof = proved(worker)
    assert proof.told == []
    assert proof.compared == {table: len(rows) for table, rows in worker.rows.items()}


def outcomes(outputs: list[Output]) -> dict[str, set[bytes]]:
    told: dict[str, set[bytes]] = {}
    for output in outputs:
        if output.topic == TOPICS.outcomes:
            told.setdefault(msgspec.json.decode(output.value)["id"], set()).add(output.value)
    return told


@settings(max_examples=100, deadline=None)
@cases(st.lists(steps, max_size=30))
def test_p1_p6_rows_and_outcomes_are_those_of_a_worker_that_never_died(history):
    worker, other = CrashingWorker(), CrashingWorker()
    worker.write(requested())
    told = []
    for what, given in history:
        told += getattr(worker, what)(given) or []
    told += worker.cycle()
    other.log = worker.log[: worker.committed]
    assert outcomes(other.cycle()) == outcomes(told) and other.rows == worker.rows
    # A request that is repeated after its message was forgotten is a new one.
    if not any(b'"kind":"forget"' in record.value for record in worker.log):
        assert all(len(values) == 1 for values in outcomes(told).values())


@settings(max_examples=50, deadline=None)
@cases(st.lists(steps, max_size=20), st.lists(st.one_of(inputs(), opted_out), max_size=5), st.integers(0, 3))
def test_p6_it_holds_between_any_two_rows_that_a_worker_writes(history, more, rows):
    worker = ran(history)
    for record in more:
        worker.write(record)
    worker.cycle(rows)
    assert proved(worker).told == []


@settings(max_examples=120, deadline=None)
@cases(st.lists(steps, max_size=40), st.data())
def test_p6_it_holds_wherever_the_older_part_of_the_log_is_deleted(history, data):
    worker = ran(history)
    start = data.draw(st.integers(1, len(worker.log)))
    proof = proved(worker, start)
    assert proof.told == []
    assert all(proof.compared[t] + proof.not_provable[t] == len(rows) for t, rows in worker.rows.items())
    if any(contact.based_offset >= start for contact in worker.contacts()):
        assert proof.compared[CONTACTS] == 1 or proof._unsure


@settings(max_examples=50, deadline=None)
@cases(st.lists(steps, max_size=20), st.data())
def test_p6_a_row_with_any_other_value_in_it_is_named(history, data):
    worker = ran(history)
    table = data.draw(st.sampled_from([CONTACTS, MESSAGES] if worker.rows[MESSAGES] else [CONTACTS]))
    key = data.draw(st.sampled_from(sorted(worker.rows[table])))
    row = json.loads(worker.rows[table][key])
    name = data.draw(st.sampled_from(sorted(row)))
    row[name] = data.draw(st.sampled_from([7, "+12125550100", {}]).filter(lambda value: value != row[name]))
    worker.rows[table][key] = json.dumps(row, separators=(",", ":"), ensure_ascii=False).encode()
    told = proved(worker).told
    assert [(found.table, found.key) for found in told] == [(table, key.decode())]
    assert "+12125550100" not in str(told)


def test_a_row_that_nobody_wrote_for_a_committed_input_is_missing():
    worker = ran([])
    del worker.rows[CONTACTS][CONTACT.encode()]
    assert [(found.field, found.folded, found.live) for found in proved(worker).told] == [("row", "a row", "nothing")]


def test_p3_an_opt_out_told_by_the_report_of_a_message_in_its_own_row_outlives_a_death_between_its_two_rows():
    worker = CrashingWorker()
    for record in (requested(), turn(), taken(), report(DeliveryStatus.SENT), report(DeliveryStatus.DELIVERED)):
        worker.write(record)
    worker.cycle()
    worker.write(report(DeliveryStatus.UNDELIVERED, 1, "SM1", 30004, ErrorClass.OPTED_OUT))
    worker.cycle(dies_after=1)
    worker.cycle()
    assert json.loads(worker.rows[CONTACTS][CONTACT.encode()])["consent"]["opted_out"] is True
    assert proved(worker).told == []


@pytest.mark.parametrize("dies_after", [0, 1, 2])
def test_p1_p6_a_death_between_the_two_rows_of_a_message_that_ends_at_once_gives_the_same_rows_and_outcome_ids(
    dies_after,
):
    """Canceled ahead, suppressed, refused: and a cancel before the request, folded again, finds no message yet."""
    worker = CrashingWorker()
    for record in (cancel("b" * 20), requested("b" * 20), text(Intent.STOP), requested("c" * 20), rejected("d" * 20)):
        worker.write(record)
    worker.write(requested("b" * 20))
    told = [worker.cycle(dies_after), worker.cycle()]
    assert worker.contacts()[0].messages == worker.contacts()[0].canceled_ahead == {}
    assert len(worker.rows[MESSAGES]) == 3 and proved(worker).told == []
    outcomes = [[o.value for o in outputs if o.topic == TOPICS.outcomes] for outputs in told]
    assert len(outcomes[0]) == 3 and outcomes[1] == outcomes[0][dies_after:]
    worker.write(requested("c" * 20))
    worker.write(requested("d" * 20))
    said = [msgspec.json.decode(o.value)["event"] for o in worker.cycle() if o.topic == TOPICS.updates]
    assert said == ["conflicted"], "the first is the same request again"


def delivered_and_checkpointed() -> tuple[CrashingWorker, int]:
    """A message delivered before its contact's checkpoint; the worker, and where the checkpoint stands."""
    worker = CrashingWorker()
    for record in (requested(), turn(), taken(), report(DeliveryStatus.DELIVERED)):
        worker.write(record)
    worker.cycle()
    worker.fire(1)  # checkpoint
    worker.cycle()
    worker.cycle()
    assert worker.contacts()[0].based_offset == len(worker.log) - 1
    return worker, len(worker.log) - 1


def test_p6_a_repeat_of_a_request_that_is_deleted_leans_on_the_live_row_of_its_message():
    worker, base = delivered_and_checkpointed()
    worker.write(requested())
    worker.cycle()
    proof = proved(worker, base)
    assert (proof.told, proof.compared[CONTACTS], proof.not_provable[MESSAGES]) == ([], 1, 1)


@pytest.mark.parametrize(
    ("days", "provable"), [(60, False), (0, True)], ids=["it opens one", "it is too late, and ends at once"]
)
def test_p6_a_repeat_of_a_request_whose_message_is_forgotten_since_is_not_different(days, provable):
    """The replay takes it for a new message: as an open one it makes the contact's row not provable."""
    worker, base = delivered_and_checkpointed()
    worker.write(requested(expires_ms=START_MS + HOUR_MS + days * 24 * HOUR_MS))
    worker.fire(0)  # forget
    worker.cycle()
    proof = proved(worker, base)
    assert (proof.told, proof.compared[CONTACTS], proof.not_provable[CONTACTS]) == ([], provable, not provable)


@pytest.mark.parametrize("rows", range(4))
def test_p1_a_repeat_that_is_folded_again_after_its_message_was_forgotten_opens_none(rows):
    """The repeat, which changed no row, and the forgetting are not committed when the worker dies."""
    worker = CrashingWorker()
    worker.write(requested())
    worker.cycle()
    worker.fire(0)  # expire
    told = outcomes(worker.cycle())
    worker.write(requested())
    worker.fire(0)  # forget
    again = outcomes([*worker.cycle(rows), *worker.cycle()])
    assert len(told) == 1 and again == {}
    assert proved(worker).told == [] and worker.rows[MESSAGES] == {}
