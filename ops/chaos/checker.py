"""The independent checker: what was acknowledged, what Twilio's side took, what the topics say. Pure; no worker code.

Each rule takes the evidence and returns what breaks it, in words that name ids and offsets, never a number or a text.
"""

from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

from ops.chaos.consent import Consent
from ops.chaos.evidence import Attempt, Evidence, Record, attempt_of
from ops.chaos.exit_rules import unasked_exits
from ops.chaos.poison_rules import (
    aborted_texted,
    dead_lettered,
    frozen_texted,
    held_up,
    lost_poison,
    missing_outcomes,
    untexted_poison,
)
from ops.chaos.rows import attempts_of, messages_of, rows_of

# Reports of failure as topic `contacts` has progress, and the classes of errors that allow another attempt.
FAILED = (6, 7)
RETRIED = (
    *("transient", "throttled", "expired", "daily_cap", "quiet_hours"),
    *("fraud_block", "configuration", "mms_impossible"),
)
DELIVERED = 10
# An answer passed on this shortly before its process died may not have been on its disk yet, ms.
FSYNC_MS = 1500
# The worker's time for a call ended while the answer lay in its socket, ms.
CROSSED_MS = 250
# From the last check of a call until its bytes are at the proxy, on a busy machine, ms.
LEAVING_MS = 750
# Faults that hold a request back on its way, and for how long after them it may still arrive, ms.
HOLDING = ("kafka_half_open", "kafka_delay", "broker_pause", "kill_slow", "disk_lost_during_call")
HELD_MS = 5000

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
        if attempt in had and had[attempt] + FSYNC_MS < at_ms
    ]


def lost_webhooks(seen: Evidence) -> list[str]:
    """Every webhook answered 2xx is on the log."""
    texts = {(record.value or {})["sid"] for record in seen.inputs("contact.texted.v1")}
    reports = {
        (*record.attempt, (record.value or {})["sid"], (record.value or {})["status"])
        for record in seen.inputs("contact.reported.v1")
    }
    problems = []
    for hook in seen.told("webhook"):
        if hook["path"].endswith("/status"):
            kept = (hook["message_id"], hook["attempt"], hook["sid"], hook["status"]) in reports
        else:
            kept = hook["sid"] in texts
        if not kept:
            problems.append(f"webhook {hook['path']} of {hook['sid']} was answered 2xx at {hook['at']}")
    return problems + [f"text {e['sid']} was acknowledged" for e in seen.told("texted") if e["sid"] not in texts]


def lost_answers(seen: Evidence) -> list[str]:
    """Every answer that a living process got is on the log: with its SID, as a refusal, or as a doubt had by then."""
    logged, doubted = defaultdict(set), defaultdict(list)
    for value in (record.value or {} for record in seen.inputs("contact.answered.v1")):
        logged[value["message_id"], value["attempt"]].add(value.get("sid", ""))
        if value["answer"] == "doubtful":
            doubted[value["message_id"], value["attempt"]].append(value["at"])
    ends: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for entry in (*seen.told("died"), *seen.told("paused"), *seen.told("wiped")):
        ends[entry["part"]].append((entry["at"] - entry.get("since_ms", 0) - FSYNC_MS, entry["at"] + FSYNC_MS))
    problems = []
    for answer in seen.told("answered"):
        attempt = answer["message_id"], answer["attempt"]
        lived = not any(start <= answer["at"] <= end for start, end in ends[answer["worker"]])
        crossed = any(at <= answer["at"] + CROSSED_MS for at in doubted[attempt])
        if lived and not crossed and answer["sid"] not in logged[attempt]:
            problems.append(f"message {attempt[0]}: answer {answer['sid']} to attempt {attempt[1]} is not on the log")
    return problems


def lost_reports(seen: Evidence) -> list[str]:
    """Every report of a known message is reflected in its state."""
    rows, refused, problems = messages_of(seen), _refused(seen), []
    for record in seen.inputs("contact.reported.v1"):
        value, (message, number) = record.value or {}, record.attempt
        if (record.partition, record.offset) in refused:
            continue
        state = attempts_of(rows, message).get(number)
        reached = -1 if state is None else state.get("progress", 0)
        if reached < value["progress"]:
            problems.append(f"message {message}: attempt {number} stands at {reached}, reported {value['progress']}")
    return problems


def rows_behind(seen: Evidence) -> list[str]:
    """Every readable request of a contact's log is in a row, every text in the contact's; no row went back for good.

    An input that says nothing new changes no row: of those with the same message or SID the first one counts."""
    last, highest = rows_of(seen)
    rows, refused, known = messages_of(seen), _refused(seen), set[str]()
    problems = []
    for key, top in highest.items():
        if (stands := last[key].get("watermark", -1)) < top:
            problems.append(f"contact {key}: its row stands at {stands}, and stood at {top}")
    for record in seen.inputs("contact.requested.v1", "contact.rejected.v1", "contact.texted.v1"):
        value = record.value or {}
        name = value.get("message_id") or value.get("sid", "")
        if name in known or (record.partition, record.offset) in refused:
            continue
        known.add(name)
        if "message_id" in value and name not in rows:
            problems.append(f"message {name}: is in no row")
        elif "sid" in value and last.get(record.key, {}).get("watermark", -1) < record.offset:
            problems.append(f"contact {record.key}: its row does not show the text at {record.offset}")
    return problems


def rows_gone_back(seen: Evidence) -> list[str]:
    """No row's watermark falls on its changelog: an input folded again, or a former owner's write. A request that the
    network held back past a take-over is beyond any cure but the rows being put once more, and is not counted."""
    held = _spans(seen, HOLDING)
    stands: dict[str, int] = {}
    problems = []
    for record in seen.topics["contacts-changelog"]:
        before, now = stands.get(record.key, -1), (record.value or {}).get("watermark", -1)
        if now < before and not any(start <= record.at_ms <= end for start, end in held):
            place = f"{record.partition}-{record.offset}"
            problems.append(
                f"contact {record.key}: its row went back from {before} to {now} at {place}, {record.at_ms}"
            )
        stands[record.key] = now
    return problems


def _spans(seen: Evidence, kinds: tuple[str, ...]) -> list[tuple[int, int]]:
    """When faults of these kinds were on, and a little after."""
    spans, began = [], {}
    for entry in seen.diary:
        if entry["did"] == "fault":
            began[entry["kind"]] = entry["at"]
        elif entry["did"] == "undone" and entry["kind"] in kinds:
            spans.append((began[entry["kind"]], entry["at"] + HELD_MS))
    return spans


def _refused(seen: Evidence) -> set[tuple[int, int]]:
    """Places on topic contacts that have a dead letter."""
    return {(partition, offset) for topic, partition, offset in dead_lettered(seen) if topic == "contacts"}


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


def judge(seen: Evidence) -> dict[str, list[str]]:
    """By the names of the summary: what breaks each."""
    return {name: [problem for rule in rules for problem in rule(seen)] for name, rules in RULES.items()}


def counts(problems: dict[str, list[str]]) -> dict[str, int]:
    """How many of each."""
    return dict(Counter({name: len(found) for name, found in problems.items()}))
