"""The oracle on recorded evidence: as it was it is right; whatever is changed in it is found, by the rules meant for it.

The evidence is that of a short run with faults; how it is recorded anew: ops/chaos/README.md.
"""

from functools import cache
from pathlib import Path

import pytest

from ops.chaos import checker, evidence_file, sight
from ops.chaos.evidence import Evidence
from tests.support import chaos_notice_mutations, chaos_outcome_mutations, chaos_text_mutations
from tests.support.chaos_changes import ChangedStory
from tests.support.chaos_mutations import Mutation

MUTATIONS = [
    *chaos_notice_mutations.MUTATIONS,
    *chaos_outcome_mutations.MUTATIONS,
    *chaos_text_mutations.MUTATIONS,
]
RECORDED = Path(__file__).parent / evidence_file.NAME


@cache
def recorded() -> Evidence:
    return evidence_file.load(RECORDED)


def test_the_recorded_evidence_is_right():
    assert {name: found for name, found in checker.judge(recorded()).items() if found} == {}
    assert sight.unseen(recorded()) == []


@pytest.mark.parametrize(("mutation", "rules"), MUTATIONS, ids=[mutation.__name__ for mutation, _ in MUTATIONS])
def test_whatever_is_wrong_is_found(mutation: Mutation, rules: tuple[str, ...]):
    changed = ChangedStory(recorded())
    mutation(changed)
    found = checker.judge(changed.evidence(), rules)
    assert [name for name, problems in found.items() if problems] == list(found)


def test_every_rule_of_the_oracle_is_tried():
    assert set(checker.ORACLE) <= {rule for _, rules in MUTATIONS for rule in rules}


def test_evidence_is_the_same_when_it_was_saved_again(tmp_path: Path):
    evidence_file.save(recorded(), tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == RECORDED.read_bytes()
