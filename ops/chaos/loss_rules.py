"""Rules over what was acknowledged: it is on the log and in the rows, or it is lost. Pure."""

from collections import defaultdict

from ops.chaos.evidence import Evidence
from ops.chaos.poison_rules import dead_lettered
from ops.chaos.rows import attempts_of, messages_of, rows_of

# An answer passed on this shortly before its process died may not have been on its disk yet, ms.
FSYNC_MS = 500
# So many calls of one worker are open at once, and may lose their answers with it (HELIOGRAPH_CALL_CONCURRENCY).
MOST_CALLS = 20
# The worker's time for a call ended while the answer lay in its socket, ms.
CROSSED_MS = 250
# Faults that hold a request back on its way, and for how long after them it may still arrive, ms.
HOLDING = ("kafka_half_open", "kafka_delay", "broker_pause", "kill_slow", "disk_lost_during_call")
HELD_MS = 5000


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
    ends = _ends(seen)
    problems, excused = [], defaultdict[tuple[str, int], list[str]](list)
    for answer in seen.told("answered"):
        attempt = answer["message_id"], answer["attempt"]
        if any(at <= answer["at"] + CROSSED_MS for at in doubted[attempt]) or answer["sid"] in logged[attempt]:
            continue
        fault = f"message {attempt[0]}: answer {answer['sid']} to attempt {attempt[1]} is not on the log"
        end = next((at for start, at in ends[answer["worker"]] if start <= answer["at"] <= at), 0)
        if end:
            excused[answer["worker"], end].append(fault)
        else:
            problems.append(fault)
    return problems + [fault for faults in excused.values() if len(faults) > MOST_CALLS for fault in faults]


def _ends(seen: Evidence) -> defaultdict[str, list[tuple[int, int]]]:
    """By worker: from when to when an answer that was passed on to it may be lost with it."""
    ends: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for entry in (*seen.told("died"), *seen.told("paused"), *seen.told("wiped")):
        ends[entry["part"]].append((entry["at"] - entry.get("since_ms", 0) - FSYNC_MS, entry["at"] + FSYNC_MS))
    return ends


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
