"""Rules over outcomes: whose they are, how they follow each other, which attempts they list. Pure.

What each word rests on is judged in `justification`.
"""

import itertools
from typing import Any

from ops.chaos.identity import masked
from ops.chaos.justification import unjustified
from ops.chaos.view import View, cause_of, contact_of

Outcome = dict[str, Any]


def wrong_outcomes(view: View) -> list[str]:
    """Each outcome is that of a message that was asked for: tenant, key, recipient, campaign, cause, attempts; and
    revisions are numbered from 1, each with another word (or now of two texts)."""
    problems = []
    for message, outcomes in view.outcomes.items():
        for outcome in outcomes:
            problems += [f"outcome {outcome['id']}: {fault}" for fault in _faults(view, outcome)]
        problems += [f"message {message}: {fault}" for fault in _sequence(outcomes)]
    return problems


def _faults(view: View, outcome: Outcome) -> list[str]:
    asked = view.asked.get(outcome["message_id"])
    if asked is None:
        return ["is of a message that nobody asked for"]
    wanted = {
        "id": f"{asked.message_id}:{outcome['revision']}",
        "tenant": asked.tenant,
        "idempotency_key": asked.key,
        "campaign": asked.campaign,
    }
    faults = [f"{name} is not that of the request" for name, value in wanted.items() if outcome[name] != value]
    if outcome["recipient"]["masked"] != masked(asked.to):
        faults.append("names another recipient")
    cause = view.inputs.get(cause_of(outcome)[:2])
    if cause is None or cause.key != contact_of(asked.message_id):
        faults.append("its cause is no input of this contact")
    return faults + _attempts(view, outcome)


def _attempts(view: View, outcome: Outcome) -> list[str]:
    """Attempts are those that were claimed by then, and their SIDs those of the ledger."""
    message, offset = outcome["message_id"], outcome["cause"]["offset"]
    claimed = {
        update["attempt"]
        for update in view.updates.get(message, ())
        if update["event"] == "claimed" and update["cause"]["offset"] <= offset
    }
    listed = {attempt["attempt"]: attempt for attempt in outcome["attempts"]}
    faults = []
    if not listed.keys() <= claimed or len(claimed - listed.keys()) != outcome.get("attempts_dropped", 0):
        faults.append(f"lists attempts {sorted(listed)}, claimed were {sorted(claimed)}")
    for number, attempt in listed.items():
        text = view.by_sid.get(attempt["message_sid"])
        if attempt["message_sid"] and (text is None or text.attempt != (message, number)):
            faults.append(f"attempt {number} has the SID of another")
        if attempt["answer"] not in _answers(view, message, number, offset):
            faults.append(f"attempt {number} has the answer {attempt['answer']}, which the log has not")
    return faults


def _answers(view: View, message: str, number: int, offset: int) -> set[str]:
    """What the log says of a create call up to an offset."""
    answers = {"open"}
    for record in view.histories.get(message, ()):
        if record.kind == "contact.answered.v1" and record.offset <= offset and record.attempt[1] == number:
            answers.add((record.value or {})["answer"])
    return answers if len(answers) == 1 else answers - {"open"}


def _sequence(outcomes: list[Outcome]) -> list[str]:
    revisions = [outcome["revision"] for outcome in outcomes]
    if revisions != list(range(1, len(outcomes) + 1)):
        return [f"has the revisions {revisions}"]
    faults = []
    for before, after in itertools.pairwise(outcomes):
        if cause_of(after)[:2] <= cause_of(before)[:2]:
            faults.append(f"revision {after['revision']} has an earlier cause than the one before")
        same = before["outcome"] == after["outcome"]
        if same and not (after["possible_duplicate"] and not before["possible_duplicate"]):
            faults.append(f"revision {after['revision']} says what was said before")
    return faults


def unjustified_outcomes(view: View) -> list[str]:
    """Each word, reason and error code is what ledger, log and time allow; and the last one is what they demand."""
    problems = []
    for message, outcomes in view.outcomes.items():
        if message not in view.asked:
            continue
        for outcome in outcomes:
            if fault := unjustified(view, outcome):
                problems.append(f"outcome {outcome['id']}: {outcome['outcome']}, {outcome['reason']}: {fault}")
        if fault := _outdated(view, message, outcomes[-1]):
            problems.append(f"message {message}: stands at {outcomes[-1]['outcome']}, {fault}")
    return problems


def _outdated(view: View, message: str, last: Outcome) -> str:
    """Why the last outcome is not the last word by all that is on the log."""
    reported = [r for r in view.histories.get(message, ()) if r.kind == "contact.reported.v1"]
    words = {(record.value or {})["status"] for record in reported}
    if words & {"delivered", "read"} and last["outcome"] != "delivered":
        return "and a report on the log says delivered"
    texts = view.texts.get(message, [])
    failed = {record.attempt[1] for record in reported if (record.value or {})["status"] in ("failed", "undelivered")}
    ended = bool(texts) and all(text.attempt[1] in failed for text in texts)
    # A worker that died between claim and call leaves an attempt of which the log will never know more.
    open_ended = {a["attempt"] for a in last["attempts"] if a["answer"] in ("open", "doubtful")} - failed
    if last["outcome"] == "in_doubt" and open_ended:
        return ""
    if ended and last["outcome"] in ("unconfirmed", "in_doubt", "expired", "suppressed", "canceled"):
        return "and the reports on the log say that it failed"
    return ""
