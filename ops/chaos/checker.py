"""The independent checker: what was acknowledged, what Twilio's side took, what the topics say. Pure; no worker code.

Each rule takes the evidence and returns what breaks it, in words that name ids and offsets, never a number or a text.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection
from typing import Any

from ops.chaos.consent import Consent
from ops.chaos.evidence import Attempt, Evidence, Record, attempt_of
from ops.chaos.exit_rules import unasked_exits
from ops.chaos.inbound_rules import wrong_consent, wrong_inbound
from ops.chaos.liveness_rules import unlearnt, unsent
from ops.chaos.loss_rules import lost_answers, lost_reports, lost_webhooks, rows_behind, rows_gone_back
from ops.chaos.metric_rules import wrong_metrics
from ops.chaos.outcome_rules import unjustified_outcomes, wrong_outcomes
from ops.chaos.poison_rules import (
    aborted_texted,
    frozen_texted,
    held_up,
    lost_poison,
    missing_outcomes,
    untexted_poison,
)
from ops.chaos.text_rules import reversed_calls, wrong_texts
from ops.chaos.update_rules import disordered_notices, wrong_updates
from ops.chaos.view import View

# Reports of failure as topic `contacts` has progress, and the classes of errors that allow another attempt.
FAILED = (6, 7)
RETRIED = (
    *("transient", "throttled", "expired", "daily_cap", "quiet_hours"),
    *("fraud_block", "configuration", "mms_impossible"),
)
# How long a living process may take to keep an answer that it has, ms.
KEEP_MS = 1500
# From the last check of a call until its bytes are at the proxy, on a busy machine, ms.
LEAVING_MS = 750

Rule = Callable[[Evidence], list[str]]


def conflicting_outcomes(seen: Evidence) -> list[str]:
    """No two different contents under one id."""
    problems = []
    for topic in ("outcomes", "updates", "consent", "inbound"):
        contents: defaultdict[str, set[bytes]] = defaultdict(set)
        for record in seen.topics[topic]:
            contents[(record.value or {})["id"]].add(record.raw)
        problems += [f"{topic}: {name} has {len(raws)} contents" for name, raws in contents.items() if len(raws) > 1]
    return problems


def duplicate_creates(seen: Evidence) -> list[str]:
    """One accepted create for each message; each further one covered by a folded permission that its outcome lists."""
    turns = _turns(seen)
    failures, doubts, resends = _failures(seen), _doubts(seen), _resends(seen)
    listed = _listed(seen)
    before: defaultdict[str, list[Attempt]] = defaultdict(list)
    problems = []
    for create in seen.creates:
        attempt = attempt_of(create)
        turn = turns.get(attempt, -1)
        for earlier in before[attempt[0]]:
            allowed = failures.get(earlier, turn) < turn or (attempt[0] in resends and doubts.get(earlier, turn) < turn)
            if earlier == attempt or not allowed:
                problems.append(f"message {attempt[0]}: attempt {attempt[1]} was created after attempt {earlier[1]}")
            elif not {earlier[1], attempt[1]} <= listed[attempt[0]]:
                problems.append(f"message {attempt[0]}: its outcome does not list attempts {earlier[1]}, {attempt[1]}")
        before[attempt[0]].append(attempt)
    return problems


def _turns(seen: Evidence) -> dict[Attempt, int]:
    """Offset of the first turn of each attempt."""
    turns: dict[Attempt, int] = {}
    for record in seen.inputs("contact.turn_granted.v1"):
        turns.setdefault(record.attempt, record.offset)
    return turns


def _failures(seen: Evidence) -> dict[Attempt, int]:
    """Offset of the first report of a failure that allows another attempt."""
    found: dict[Attempt, int] = {}
    for record in seen.inputs("contact.reported.v1"):
        value = record.value or {}
        if value["progress"] in FAILED and value.get("error") in RETRIED:
            found.setdefault(record.attempt, record.offset)
    return found


def _doubts(seen: Evidence) -> dict[Attempt, int]:
    """Offset at which an attempt came into doubt."""
    found: dict[Attempt, int] = {}
    for record in seen.topics["updates"]:
        value = record.value or {}
        if value.get("event") == "doubted":
            found.setdefault(record.attempt, value["cause"]["offset"])
    return found


def _resends(seen: Evidence) -> set[str]:
    """Messages whose tenant chose to send again in doubt."""
    records = seen.inputs("contact.requested.v1")
    return {
        record.attempt[0] for record in records if (record.value or {})["policy"].get("resend_after_ms") is not None
    }


def _listed(seen: Evidence) -> defaultdict[str, set[int]]:
    """Attempts in the last outcome of each message."""
    last: dict[str, dict[str, Any]] = {}
    for record in seen.topics["outcomes"]:
        value = record.value or {}
        if value["revision"] >= last.get(value["message_id"], value)["revision"]:
            last[value["message_id"]] = value
    listed: defaultdict[str, set[int]] = defaultdict(set)
    for message, value in last.items():
        listed[message] = {attempt["attempt"] for attempt in value["attempts"]}
    return listed


def sends_after_stop(seen: Evidence) -> list[str]:
    """No call whose turn lies after a STOP, none that left later than a STOP's log time + claim_ttl."""
    consents = {key: Consent(records) for key, records in _by_key(seen).items()}
    turns: defaultdict[Attempt, list[Record]] = defaultdict(list)
    for record in seen.inputs("contact.turn_granted.v1"):
        turns[record.attempt].append(record)
    problems = []
    for call in seen.told("called"):
        attempt = (call["message_id"], call["attempt"])
        consent = consents.get(attempt[0].partition("-")[0])
        if consent is None:
            problems.append(f"message {attempt[0]}: called, and nothing of it is on the log")
        elif all(consent.closed_at(turn.offset) for turn in turns[attempt] if turn.at_ms <= call["at"]):
            problems.append(f"message {attempt[0]}: attempt {attempt[1]} was called, its turn lies after a STOP")
        elif consent.closed_since(call["at"]) > seen.claim_ttl_s * 1000 + LEAVING_MS:
            late = consent.closed_since(call["at"])
            problems.append(f"message {attempt[0]}: attempt {attempt[1]} was called {late} ms after a STOP")
    return problems


def _by_key(seen: Evidence) -> dict[str, list[Record]]:
    found: defaultdict[str, list[Record]] = defaultdict(list)
    for record in seen.topics["contacts"]:
        found[record.key].append(record)
    return found


def needless_doubts(seen: Evidence) -> list[str]:
    """No doubt about a call whose answer a living process had, long enough to keep it."""
    had = {
        record.attempt: record.value["at"]
        for record in seen.inputs("contact.answered.v1")
        if record.value and record.value["answer"] in ("taken", "refused")
    }
    doubted = (
        (r.attempt, r.value["at_ms"]) for r in seen.topics["updates"] if r.value and r.value.get("event") == "doubted"
    )
    return [
        f"message {attempt[0]}: attempt {attempt[1]} was in doubt at {at_ms}, its answer was had at {had[attempt]}"
        for attempt, at_ms in doubted
        if attempt in had and had[attempt] + KEEP_MS < at_ms
    ]


LOST: tuple[Rule, ...] = (lost_webhooks, lost_answers, lost_reports, rows_behind, rows_gone_back)
RULES: dict[str, tuple[Rule, ...]] = {
    "needless_doubts": (needless_doubts,),
    "duplicate_creates": (duplicate_creates,),
    "missing_outcomes": (missing_outcomes,),
    "conflicting_outcomes": (conflicting_outcomes,),
    "sends_after_stop": (sends_after_stop,),
    "lost_acknowledged": LOST,
    "lost_poison": (lost_poison,),
    "untexted_poison": (untexted_poison,),
    "aborted_texted": (aborted_texted,),
    "held_up": (held_up,),
    "frozen_texted": (frozen_texted,),
    "unasked_exits": (unasked_exits,),
}


# The oracle: what must be, from what the harness asked for, the ledger and the wire. By the names of the summary.
ORACLE: dict[str, Callable[[View], list[str]]] = {
    "wrong_texts": wrong_texts,
    "reversed_calls": reversed_calls,
    "wrong_outcomes": wrong_outcomes,
    "unjustified_outcomes": unjustified_outcomes,
    "unsent": unsent,
    "unlearnt": unlearnt,
    "wrong_updates": wrong_updates,
    "disordered_notices": disordered_notices,
    "wrong_inbound": wrong_inbound,
    "wrong_consent": wrong_consent,
    "wrong_metrics": wrong_metrics,
}
NAMES = (*RULES, *ORACLE)


def judge(seen: Evidence, names: Collection[str] = NAMES) -> dict[str, list[str]]:
    """By the names of the summary: what breaks each; `names`: these alone."""
    view = View(seen)
    found = {
        name: [problem for rule in rules for problem in rule(seen)] for name, rules in RULES.items() if name in names
    }
    return found | {name: rule(view) for name, rule in ORACLE.items() if name in names}


def counts(problems: dict[str, list[str]]) -> dict[str, int]:
    """How many of each."""
    return dict(Counter({name: len(found) for name, found in problems.items()}))
