"""Rules over poison: what each record that the harness produced as poison must lead to, and what it must not. Pure."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from ops.chaos.diary import Entry
from ops.chaos.evidence import Evidence, Record
from ops.chaos.promises import WITH_OUTCOMES, Promise

_SOURCE = re.compile(r"(.+)-(\d+)-(\d+)")
Place = tuple[str, int, int]  # topic without prefix, partition, offset


def wanted_outcomes(diary: Iterable[Entry]) -> Counter[str]:
    """How many outcomes each idempotency key must have: one for each recipient of an acknowledged request."""
    wanted: Counter[str] = Counter()
    people: dict[str, int] = {}
    for entry in diary:
        if entry["did"] == "asking":
            people[entry["key"]] = len(entry["recipients"])
        elif entry["did"] == "requested":
            wanted[entry["key"]] = people.get(entry["key"], 1)
        elif entry["did"] == "produced" and entry["promise"] in WITH_OUTCOMES:
            wanted[entry["key"]] = entry["recipients"]
    return wanted


def latest_expiry_ms(diary: Iterable[Entry]) -> float:
    """When the last poison expires, ms since the epoch; 0 without any."""
    produced = (entry for entry in diary if entry["did"] == "produced")
    return max((entry["at"] + 1000 * entry["expires_s"] for entry in produced), default=0.0)


def outcomes_by_key(seen: Evidence) -> dict[str, dict[str, dict[str, Any]]]:
    """By idempotency key: the outcomes of revision 1 by their ids."""
    found: defaultdict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for record in seen.topics["outcomes"]:
        value = record.value or {}
        if value.get("revision") == 1:
            found[value["idempotency_key"]][value["id"]] = value
    return found


def missing_outcomes(seen: Evidence) -> list[str]:
    """Every acknowledged request has exactly one outcome id of revision 1 for each of its recipients."""
    found = outcomes_by_key(seen)
    return [
        f"request {key}: {len(found.get(key, ()))} outcomes of revision 1, not {count}"
        for key, count in sorted(wanted_outcomes(seen.diary).items())
        if len(found.get(key, ())) != count
    ]


def dead_lettered(seen: Evidence) -> set[Place]:
    """Places of all records that have a dead letter."""
    sources = (_SOURCE.fullmatch(str((record.value or {}).get("source", ""))) for record in seen.topics["deadletters"])
    return {(one[1].removeprefix(seen.prefix), int(one[2]), int(one[3])) for one in sources if one}


def lost_poison(seen: Evidence) -> list[str]:
    """Every poison record came to what was promised: a rejection, a dead letter, an outcome or either of these."""
    lettered, found = dead_lettered(seen), outcomes_by_key(seen)
    problems = [
        f"contacts-{entry['partition']}-{entry['offset']} is in no dead letter"
        for entry in seen.told("poisoned")
        if ("contacts", entry["partition"], entry["offset"]) not in lettered
    ]
    for entry in seen.told("produced"):
        place = ("notify.requests", entry["partition"], entry["offset"])
        outcomes = found.get(entry["key"], {}).values()
        if entry["promise"] == Promise.DEAD_LETTER and place not in lettered:
            problems.append(f"{_told(entry)} is in no dead letter")
        elif entry["promise"] == Promise.ANSWERED and place not in lettered and not outcomes:
            problems.append(f"{_told(entry)} has neither an outcome nor a dead letter")
        elif entry["promise"] == Promise.REJECTED and any(value["outcome"] != "rejected" for value in outcomes):
            problems.append(f"{_told(entry)} was not rejected")
    return problems + _lost_cancels(seen, lettered)


def _lost_cancels(seen: Evidence, lettered: set[Place]) -> list[str]:
    """A cancel without a message is kept, as an update says, or in a dead letter."""
    kept = {r.value["message_id"] for r in seen.topics["updates"] if r.value and r.value.get("event") == "cancel_kept"}
    refused = {
        (record.value or {}).get("message_id")
        for record in seen.inputs("contact.cancel_requested.v1")
        if ("contacts", record.partition, record.offset) in lettered
    }
    return [
        f"{_told(entry)} is neither kept nor in a dead letter"
        for entry in seen.told("produced")
        if entry["promise"] == Promise.CANCELED and entry["key"] not in kept | refused
    ]


def untexted_poison(seen: Evidence) -> list[str]:
    """Every legal request among the poison was texted, or was at least claimed for a call."""
    found = outcomes_by_key(seen)
    return [
        f"{_told(entry)} was legal and has the outcome {value['outcome']} without an attempt"
        for entry in seen.told("produced")
        if entry["promise"] == Promise.TEXTED
        for value in found.get(entry["key"], {}).values()
        if not value["attempts"]
    ]


def aborted_texted(seen: Evidence) -> list[str]:
    """Nothing follows from a record of a transaction that was not committed."""
    keys = _keys(seen)
    asked = {keys.get(record.attempt[0], "") for record in seen.topics["contacts"]}
    known, lettered = asked | outcomes_by_key(seen).keys(), dead_lettered(seen)
    return [
        f"{_told(entry)} is of an aborted transaction and was read"
        for entry in seen.told("produced")
        if entry["promise"] == Promise.NEVER
        and (entry["key"] in known or ("notify.requests", entry["partition"], entry["offset"]) in lettered)
    ]


def held_up(seen: Evidence) -> list[str]:
    """No ordinary request waits for all recipients of a campaign that was produced before it."""
    first = _first_inputs(seen)
    problems = []
    for entry in seen.told("produced"):
        for own in first.get(entry["key"], {}).values() if entry["behind"] else ():
            before = [
                record.offset
                for key in entry["behind"]
                for record in first.get(key, {}).values()
                if record.partition == own.partition
            ]
            if before and max(before) < own.offset:
                problems.append(f"{_told(entry)} waited for {len(entry['behind'])} campaigns before it")
    return problems


def _first_inputs(seen: Evidence) -> dict[str, dict[str, Record]]:
    """By idempotency key and message: where it was asked for first."""
    found: defaultdict[str, dict[str, Record]] = defaultdict(dict)
    keys = _keys(seen)
    for record in seen.inputs("contact.requested.v1"):
        message = record.attempt[0]
        found[keys.get(message, "")].setdefault(message, record)
    return found


def _keys(seen: Evidence) -> dict[str, str]:
    """By message id: the idempotency key of what was asked for; on the log it is sealed."""
    asked = (
        (recipient["message_id"], entry["key"]) for entry in seen.told("asking") for recipient in entry["recipients"]
    )
    return dict(asked)


def frozen_texted(seen: Evidence) -> list[str]:
    """Nothing is sent to a contact from the dead letter of a record that was set aside until that is retried."""
    thawing = {entry["key"]: entry["at"] for entry in seen.told("thawing")}
    contacts = {key: message.partition("-")[0] for message, key in _keys(seen).items()}
    problems = []
    for entry in seen.told("frozen"):
        contact, end = contacts.get(entry["key"], ""), thawing.get(entry["key"], entry["at"])
        calls = [call for call in seen.told("called") if call["message_id"].partition("-")[0] == contact]
        if any(entry["at"] < call["at"] < end for call in calls):
            problems.append(f"contact {contact} is frozen and was called")
    return problems


def _told(entry: Entry) -> str:
    return f"{entry['kind']}: record {entry['partition']}-{entry['offset']} {entry['key']}".rstrip()
