"""P5, P6: what was recorded is folded again, from zero and from checkpoints, once and twice; each file tells a story."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from app.domain.model.inputs import Input
from tests.support.histories import DIRECTORY, History, Replay, remake

PATHS = {path.stem: path for path in sorted(DIRECTORY.glob("*.jsonl"))}
# Where inputs stand, and how often the list was looked at: what a second copy of an input may change.
PLACES = {"watermark", "claimed_offset", "stopped_offset", "evidence", "looks", "looked_ms", "based_offset", "based_ms",
          "logged_offset"}  # fmt: skip


@pytest.fixture(params=PATHS.values(), ids=PATHS)
def path(request: pytest.FixtureRequest) -> Path:
    return request.param


@pytest.fixture
def history(path: Path) -> History:
    return History.read(path)


def rows_of(history: History) -> dict[str, bytes]:
    return {name: bytes(row) for name, row in history.rows.items()}


def placeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: placeless(inner) for name, inner in value.items() if name not in PLACES}
    return [placeless(inner) for inner in value] if isinstance(value, list) else value


def told(history: History | Replay) -> list[tuple[list[str], list[bytes]]]:
    return [(step.tells, [bytes(outcome) for outcome in step.outcomes]) for step in history.steps]


def test_p6_from_zero_each_input_tells_what_was_recorded_and_the_rows_end_byte_for_byte(history: History) -> None:
    replay = Replay(history)
    assert told(replay) == told(history)
    assert replay.rows == rows_of(history)


def test_p6_a_fold_that_goes_on_from_a_checkpoint_after_every_input_ends_the_same(history: History) -> None:
    replay = Replay(history, checkpointed=True)
    assert (told(replay), replay.rows) == (told(history), rows_of(history))


def test_p1_p6_an_input_handed_over_twice_tells_no_outcome_the_second_time_and_changes_no_row(history: History) -> None:
    """One that changed no row may tell again what it told: a turn not taken, a conflict, a dead letter, a void
    checkpoint."""
    replay = Replay(history, redelivered=True)
    assert told(replay)[::2] == told(history)
    for (tells, outcomes), (first, _) in zip(told(replay)[1::2], told(history), strict=True):
        assert outcomes == [] and set(tells) <= {
            tell for tell in first if tell.startswith(("lane: answered", "conflicted", "dead letter", "written on"))
        }
    assert replay.rows == rows_of(history)


def test_p1_p5_an_input_that_stands_twice_on_the_log_gives_no_other_outcome_and_no_other_row(history: History) -> None:
    once, twice = Replay(history), Replay(history, times=2)
    assert twice.outcomes == once.outcomes

    def decoded(replay: Replay) -> Any:
        return {name: placeless(msgspec.json.decode(row)) for name, row in replay.rows.items()}

    assert decoded(twice) == decoded(once)


def test_an_input_is_written_as_the_product_writes_it(history: History) -> None:
    for step in history.steps:
        assert msgspec.json.encode(msgspec.json.decode(step.input, type=Input)) == bytes(step.input)
    assert history.says.endswith(".") and len(history.steps) > 1


def test_a_history_that_is_made_anew_is_the_one_that_is_kept(history: History, path: Path, tmp_path: Path) -> None:
    bare = [msgspec.structs.replace(step, tells=[], outcomes=[]) for step in history.steps]
    History(history.says, bare, {}).write(tmp_path / "anew.jsonl")
    remake([tmp_path / "anew.jsonl"])
    assert (tmp_path / "anew.jsonl").read_bytes() == path.read_bytes()


def test_every_kind_of_input_and_every_end_is_recorded() -> None:
    histories = [History.read(path) for path in PATHS.values()]
    kinds = {msgspec.json.decode(step.input)["type"] for history in histories for step in history.steps}
    assert kinds == {member.__struct_config__.tag for member in Input.__args__}
    words = {outcome["outcome"] for history in histories for outcome in Replay(history).outcomes}
    assert words == {"delivered", "undelivered", "failed", "suppressed", "expired", "canceled", "rejected",
                     "unconfirmed", "in_doubt"}  # fmt: skip
