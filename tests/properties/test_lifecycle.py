"""The fold takes a message along transitions of the table only, and the map shows the table."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given as cases
from hypothesis import settings
from hypothesis import strategies as st

from app.domain.model.inputs import Input, LogPosition
from app.domain.model.vocabulary import Stage
from app.domain.rules.lifecycle import FINAL, TRANSITIONS, input_kind, is_allowed
from tests.histories.test_histories import PATHS
from tests.properties.test_fold import asked, fire, inputs
from tests.support.given import ContactLog
from tests.support.histories import History
from tests.support.lifecycle_diagram import MAP, block


def stages(log: ContactLog) -> dict[str, Stage]:
    active = log.contact.messages if log.contact else {}
    return {key: message.stage for key, message in {**log.rows, **active}.items()}


def unlisted(log: ContactLog, before: dict[str, Stage], remembered: bool) -> list[tuple[str, str, str]]:
    """Transitions of the last input that the table lacks. Texts that are remembered from Twilio's list are settled
    after any input, as if they were listed then."""
    if log.last is None:
        return []
    kinds = {input_kind(log.last[0])} | ({"listed"} if remembered else set())
    after = stages(log)
    return [
        (str(before.get(key)), "/".join(kinds), str(after.get(key)))
        for key in {**before, **after}
        if not any(is_allowed(before.get(key), kind, after.get(key)) for kind in kinds)
    ]


@settings(max_examples=1000, deadline=None)
@cases(asked(), st.lists(st.one_of(inputs(), st.integers(0, 9)), max_size=25))
def test_p5_a_message_moves_along_the_transition_table_only(asking, history) -> None:
    log = ContactLog()
    for step in [asking, *history]:
        before, remembered = stages(log), bool(log.contact and log.contact.listed)
        fire(log, step) if isinstance(step, int) else log.then(step)
        assert unlisted(log, before, remembered) == []


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_p5_recorded_histories_move_along_the_transition_table_only(path: Path) -> None:
    log = ContactLog()
    for offset, step in enumerate(History.read(path).steps):
        before, remembered = stages(log), bool(log.contact and log.contact.listed)
        log.fold(msgspec.json.decode(step.input, type=Input), LogPosition(0, offset, step.log_ms))
        assert unlisted(log, before, remembered) == []


def test_a_final_message_stays_final_until_it_is_forgotten() -> None:
    assert TRANSITIONS[FINAL] == {"due forget": frozenset({None})}


def test_every_stage_has_a_row_and_can_be_reached() -> None:
    assert set(TRANSITIONS) == {None, *Stage}
    assert {stage for causes in TRANSITIONS.values() for targets in causes.values() for stage in targets} == {
        None,
        *Stage,
    }


def test_the_map_shows_the_diagram_of_the_table() -> None:
    assert MAP.read_text().count(block()) == 1, "run: python -m tests.support.lifecycle_diagram"
