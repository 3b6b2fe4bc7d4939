"""What explains a message folds its contact's log as the worker did, whatever the log holds."""

import msgspec
import pytest

from app.records.topics import Topics
from app.streams.engine.agent import Input
from app.streams.replay.history import History, HistoryStep, told
from app.streams.replay.replay import skipped_by
from tests.support.crashing import CrashingWorker
from tests.support.given import BASE, CONTACT, requested

A, B, PK = "a" * 20, "b" * 20, str(BASE["pk"])


def history(*log: Input) -> tuple[History, list[HistoryStep]]:
    skipped = {offset for record in log if (offset := skipped_by(record)) is not None}
    made = History(Topics("", ""), PK, skipped)
    return made, list(told(made, log))


def log_of(*keys: str) -> list[Input]:
    crashing = CrashingWorker()
    for key in keys:
        crashing.write(requested(key))
    return crashing.log


def test_a_contact_whose_first_input_was_set_aside_is_frozen_from_the_start():
    first, second = log_of(A, B)
    skip = second._replace(
        offset=9,
        value=msgspec.json.encode(
            {"type": "contact.set_aside.v1", "id": "x", "tenant": "", "pk": PK, "at": 1, "offset": first.offset}
        ),
    )
    made, steps = history(first, second, skip)
    assert [(step.record.offset, step.folded is None) for step in steps[:2]] == [
        (first.offset, True),
        (second.offset, False),
    ]
    assert made.contact(CONTACT).frozen_by == (first.offset,)
    assert made.message(f"{CONTACT}-{A}") is None and made.message(f"{CONTACT}-{B}") is not None


@pytest.mark.parametrize("change", [{"pk": "00000000"}, {"metadata": {"k": "v" * 900_000}}])
def test_an_input_that_the_worker_refused_changes_nothing_and_tells_nothing(change):
    (record,) = log_of(A)
    refused = record._replace(value=msgspec.json.encode({**msgspec.json.decode(record.value), **change}))
    made, steps = history(refused)
    assert steps == [] and made.contact(CONTACT) is None


def test_an_input_whose_fold_raises_froze_the_contact_and_is_told_so(monkeypatch):
    def raises(*given: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("app.streams.agents.contact_fold.fold", raises)
    made, steps = history(*log_of(A))
    assert [step.folded for step in steps] == [None]
    assert made.contact(CONTACT).frozen == "ZeroDivisionError"
