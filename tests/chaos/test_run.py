"""The product under fire for a minute and a half, by four kinds of faults, and a checker that cannot be fooled by it."""

import json
import os
import subprocess
from pathlib import Path

from ops.chaos import checker, evidence_file
from tests.support.chaos_changes import ChangedStory
from tests.support.chaos_notice_mutations import all_consent_lost, all_inbound_lost, all_metrics_lost, all_updates_lost
from tests.support.chaos_outcome_mutations import (
    every_outcome_delivered,
    every_outcome_expired,
    half_of_the_messages_never_sent,
)
from tests.support.chaos_text_mutations import texts_to_the_wrong_person

ROOT = Path(__file__).parents[2]
LONGEST_S = 420
# A process dies, calls get no answer, and two kinds of poison.
KINDS = ("worker_kill", "accept_then_late", "poison_headers", "poison_transactions")
WRONG = {
    all_inbound_lost: "wrong_inbound",
    all_consent_lost: "wrong_consent",
    all_updates_lost: "wrong_updates",
    all_metrics_lost: "wrong_metrics",
    every_outcome_delivered: "unjustified_outcomes",
    every_outcome_expired: "unjustified_outcomes",
    half_of_the_messages_never_sent: "unsent",
    texts_to_the_wrong_person: "wrong_texts",
}


def run(directory: Path) -> dict[str, object]:
    """A run by these kinds, its evidence kept; its summary."""
    env = {name: value for name, value in os.environ.items() if name != "KAFKA_BOOTSTRAP_SERVERS"}
    options = ["--faults", str(len(KINDS)), "--seed", "181", "--short", "--json", "--keep", str(directory)]
    for kind in KINDS:
        options += ["--only", kind]
    command = [ROOT / "ops" / "chaos" / "run", *options]
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=LONGEST_S)
    assert done.returncode == 0, done.stderr[-4000:] + done.stdout[-2000:]
    return dict(json.loads(done.stdout.splitlines()[-1]))


def test_every_promise_holds_under_faults_and_the_evidence_shows_whatever_is_changed_in_it(tmp_path: Path):
    summary = run(tmp_path)
    assert summary["messages"] > 150
    assert summary["faults"] == dict.fromkeys(KINDS, 1)
    seen = evidence_file.load(tmp_path)
    assert not any(checker.judge(seen).values())
    for mutation, rule in WRONG.items():
        changed = ChangedStory(seen)
        mutation(changed)
        assert checker.judge(changed.evidence(), (rule,))[rule], mutation.__name__
