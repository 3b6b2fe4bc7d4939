"""Rules over what people text: the contact log, `notify.inbound` and `notify.consent` say it once and rightly. Pure."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from ops.chaos.diary import Entry
from ops.chaos.evidence import Record
from ops.chaos.identity import masked
from ops.chaos.view import View, cause_of

# Of what the load generator texts; anything else is an ordinary text.
INTENTS = {"STOP": "stop", "START": "start"}
# STOPs and STARTs that are remembered of a contact.
REMEMBERED = 64
REOPEN_MS = 2000

Found = dict[str, dict[str, dict[str, Any]]]


def wrong_inbound(view: View) -> list[str]:
    """Each text that was acknowledged is on the log as it was texted, and has one record on `notify.inbound`."""
    texting = {entry["sid"]: entry for entry in view.seen.told("texting")}
    told = _by_sid(view.seen.topics["inbound"])
    logged = {(record.value or {})["sid"] for record in _texted(view)}
    acknowledged = {entry["sid"] for entry in view.seen.told("texted")}
    problems = [f"text {sid}: has no record" for sid in sorted((acknowledged | logged) - told.keys())]
    problems += [f"text {sid}: was texted by nobody" for sid in sorted(told.keys() - texting.keys())]
    for record in _texted(view):
        sid = (record.value or {})["sid"]
        if sid not in texting:
            problems.append(f"text {sid}: is on the log and was texted by nobody")
        else:
            problems += [f"text {sid}: {fault}" for fault in _misread(record, texting[sid])]
    for sid, records in told.items():
        if len(records) > 1:
            problems.append(f"text {sid}: has {len(records)} records")
        for value in records.values() if sid in texting else ():
            problems += [f"text {sid}: {fault}" for fault in _untrue(view, value, texting[sid])]
    return problems


def _texted(view: View) -> Iterator[Record]:
    return (record for record in view.inputs.values() if record.kind == "contact.texted.v1")


def _by_sid(records: list[Record]) -> Found:
    """By MessageSid: values of different contents."""
    found: defaultdict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for record in records:
        if record.value:
            found[record.value["message_sid"]].setdefault(record.raw.decode(), record.value)
    return dict(found)


def _misread(record: Record, texting: Entry) -> Iterator[str]:
    """What the log has otherwise than it was texted."""
    value = record.value or {}
    if value["intent"] != INTENTS.get(texting["word"], "none"):
        yield f"{value['intent']} is on the log for {texting['word']!r}"
    if value["masked"] != masked(texting["sender"]) or value["tenant"] != texting["tenant"]:
        yield "is on the log of another"
    if value["at"] < texting["at"]:
        yield "was received before it was texted"


def _untrue(view: View, value: dict[str, Any], texting: Entry) -> Iterator[str]:
    """What its record says otherwise than it was texted."""
    cause = view.inputs.get(cause_of(value)[:2])
    if cause is None or (cause.value or {}).get("sid") != value["message_sid"]:
        yield "its cause is not this text"
        return
    intent = INTENTS.get(texting["word"], "none")
    wanted = {
        "id": f"{cause.key}:{value['message_sid']}",
        "contact_id": cause.key,
        "tenant": texting["tenant"],
        "intent": intent,
        "masked": masked(texting["sender"]),
        "media_count": 0,
    }
    wanted |= {"keyword": texting["word"]} if intent != "none" else {}
    yield from (f"{name} is not what was texted" for name, right in wanted.items() if value[name] != right)


def wrong_consent(view: View) -> list[str]:
    """Each STOP and START that is new has one record on `notify.consent`, with the state it led to by the times of
    receipt. What Twilio says of an opt-out may have one, too."""
    told = {cause_of(value)[:2]: value for value in _changes(view)}
    problems, wanted = [], set[tuple[int, int]]()
    for contact, records in view.logs.items():
        for record, state, changed in _expected(records):
            place = record.partition, record.offset
            wanted.add(place)
            problems += [f"contact {contact}: {fault}" for fault in _unlike(told.get(place), record, state, changed)]
    for place, value in told.items():
        cause = view.inputs.get(place)
        if place not in wanted and (cause is None or (cause.value or {}).get("error") != "opted_out"):
            problems.append(f"contact {value['contact_id']}: a change at {place[0]}-{place[1]} that nothing led to")
    return problems


def _changes(view: View) -> Iterator[dict[str, Any]]:
    records = view.seen.topics["consent"]
    return (record.value for record in records if record.value and record.kind == "notify.consent_changed.v1")


def _expected(records: list[Record]) -> Iterator[tuple[Record, str, bool]]:
    """Texts of one contact that must have a record: with the state they led to, and whether that changed it."""
    received: dict[str, tuple[int, str]] = {}  # by SID: time of receipt and intent
    refused, closed = 0, False
    for record in records:
        value = record.value or {}
        if value.get("error") == "opted_out":
            refused = max(refused, value["at"])
            closed = _is_closed(received, refused)
        if record.kind != "contact.texted.v1" or value["intent"] not in INTENTS.values():
            continue
        kept = sorted((at, sid) for sid, (at, _) in received.items())[-REMEMBERED:]
        forgot = any(received[sid][1] == "start" for sid in received.keys() - {sid for _, sid in kept})
        is_new = value["sid"] not in {sid for _, sid in kept}
        if is_new and forgot and value["intent"] == "start":
            continue  # it may be one that was forgotten, and reopens nothing
        at_ms = min(value["at"], received.get(value["sid"], (value["at"], ""))[0])
        received[value["sid"]] = at_ms, value["intent"]
        before, closed = closed, _is_closed(received, refused)
        if is_new or before != closed:
            yield record, "opted_out" if closed else "opted_in", before != closed


def _is_closed(received: dict[str, tuple[int, str]], refused_ms: int) -> bool:
    stopped = max([at for at, intent in received.values() if intent == "stop"] + [refused_ms], default=0)
    started = max((at for at, intent in received.values() if intent == "start"), default=0)
    return stopped > 0 and started <= stopped + REOPEN_MS


def _unlike(told: dict[str, Any] | None, record: Record, state: str, changed: bool) -> Iterator[str]:
    text = record.value or {}
    place = f"{record.partition}-{record.offset}"
    if told is None:
        yield f"no change is told of text {text['sid']}"
        return
    wanted = {
        "id": f"{record.key}@{place}",
        "contact_id": record.key,
        "tenant": text["tenant"],
        "state": state,
        "changed": changed,
        "message_sid": text["sid"],
        "masked": text["masked"],
    }
    yield from (f"{name} of the change at {place} is wrong" for name, right in wanted.items() if told[name] != right)
    if int(datetime.fromisoformat(told["received_at"]).timestamp() * 1000) != text["at"]:
        yield f"received_at of the change at {place} is wrong"
