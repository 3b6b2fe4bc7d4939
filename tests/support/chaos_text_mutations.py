"""Mutations of what was sent: whom, what, in which order; of log, rows and processes."""

from collections import Counter, defaultdict
from itertools import pairwise
from typing import Any

from ops.chaos.evidence import attempt_of
from tests.support.chaos_changes import ChangedStory, anything, having, rewritten, setting
from tests.support.chaos_mutations import Mutations, message_of, registering

MUTATIONS: Mutations = []
caught_by = registering(MUTATIONS)


@caught_by("wrong_texts")
def texts_to_the_wrong_person(changed: ChangedStory) -> None:
    other = {create["to"]: before["to"] for create, before in zip(changed.creates[1:], changed.creates, strict=False)}
    changed.take(anything, lambda create: {**create, "to": other.get(create["to"], create["to"])})


@caught_by("wrong_texts")
def one_call_to_the_wrong_person(changed: ChangedStory) -> None:
    person = changed.told("called")[0]["to"]
    changed.tell(lambda entry: entry["did"] == "called" and entry["to"] != person, setting(to=person), 1)


@caught_by("wrong_texts")
def one_wrong_text(changed: ChangedStory) -> None:
    changed.take(anything, setting(body="Build 0 is deployed."), 1)


@caught_by("wrong_texts")
def a_text_that_nobody_asked_for(changed: ChangedStory) -> None:
    callback = changed.creates[0]["status_callback"]
    asked_for, _ = attempt_of(changed.creates[0])
    changed.creates.append({**changed.creates[0], "status_callback": callback.replace(asked_for, asked_for[::-1])})


@caught_by("wrong_texts")
def a_text_after_its_message_had_expired(changed: ChangedStory) -> None:
    changed.tell(having(did="asking"), lambda entry: {**entry, "expires_ms": entry["expires_ms"] - 3_600_000}, 1)


@caught_by("wrong_texts")
def a_text_before_its_time(changed: ChangedStory) -> None:
    changed.tell(having(did="asking"), lambda entry: {**entry, "start_ms": entry["at"] + 3_600_000}, 1)


@caught_by("wrong_texts")
def an_attempt_after_a_cancel(changed: ChangedStory) -> None:
    claimed = changed.values("updates", having(event="claimed"))[0]
    first = next(r for r in changed.topics["contacts"] if r.attempt[0] == claimed["message_id"])
    cancel = rewritten(first, {"type": "contact.cancel_requested.v1", "message_id": claimed["message_id"]})
    changed.topics["contacts"] = [cancel if record == first else record for record in changed.topics["contacts"]]


@caught_by("lost_acknowledged")
def answers_lost_around_a_workers_death(changed: ChangedStory) -> None:
    """38 of them, each passed on to the worker shortly before it died."""
    death = changed.told("died")[-1]
    answered = [e for e in changed.told("answered") if e["status"] == 201 and e["at"] <= death["at"]][-38:]
    assert len(answered) == 38
    gone = {entry["sid"] for entry in answered}
    moved = setting(at=death["at"] - 100, worker=death["part"])
    changed.tell(lambda entry: entry["did"] == "answered" and entry["sid"] in gone, moved)
    changed.drop("contacts", lambda value: value["type"] == "contact.answered.v1" and value.get("sid") in gone)
    changed.drop("updates", lambda value: value.get("event") == "taken" and value.get("message_sid") in gone)


def two_calls_of_one_contact(changed: ChangedStory) -> tuple[dict[str, Any], dict[str, Any]]:
    """First calls of two messages of equal priority: of all such the two with the least time between them."""
    priorities = {r["message_id"]: e["priority"] for e in changed.told("asking") for r in e["recipients"]}
    alike: defaultdict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for call in changed.told("called", attempt=1):
        alike[call["to"], priorities[call["message_id"]]].append(call)
    pairs = [(a, b) for calls in alike.values() for a, b in pairwise(calls) if a["message_id"] != b["message_id"]]
    return min(pairs, key=lambda pair: int(pair[1]["at"] - pair[0]["at"]))


@caught_by("reversed_calls")
def two_calls_of_one_contact_reversed(changed: ChangedStory) -> None:
    first, second = two_calls_of_one_contact(changed)
    changed.tell(lambda entry: entry is first, setting(at=second["at"] + 1))


@caught_by("reversed_calls")
def a_turn_granted_before_the_message_before_has_its_result(changed: ChangedStory) -> None:
    first, second = two_calls_of_one_contact(changed)
    claims = {value["message_id"]: value for value in changed.values("updates", having(event="claimed", attempt=1))}
    before, after = (claims[call["message_id"]] for call in (first, second))
    changed.edit("updates", having(id=after["id"]), setting(cause=before["cause"]))


@caught_by("reversed_calls")
def two_requests_of_one_producer_reversed_on_the_log(changed: ChangedStory) -> None:
    produced = list(changed.told("requested", way="topic"))
    people = {e["key"]: e["recipients"][0]["to"] for e in changed.told("asking")}
    once = Counter(entry["key"] for entry in changed.told("requested"))
    single = [entry for entry in produced if once[entry["key"]] == 1]
    first, second = next(
        (a, b) for n, a in enumerate(single) for b in single[n + 1 :] if people[a["key"]] == people[b["key"]]
    )
    other = {first["key"]: second, second["key"]: first}
    changed.tell(
        lambda entry: entry["did"] == "requested" and entry["key"] in other,
        lambda entry: {**entry, "offset": other[entry["key"]]["offset"]},
    )


@caught_by("sends_after_stop")
def a_stop_not_honoured(changed: ChangedStory) -> None:
    """A message that was suppressed is called after all."""
    contact = message_of(changed, having(outcome="suppressed", reason="opted_out"))
    at = max(entry["at"] for entry in changed.diary)
    changed.diary.append(
        {"did": "called", "at": at, "worker": "worker-1", "message_id": contact, "attempt": 1, "to": "", "body": ""}
    )


@caught_by("duplicate_creates")
def a_text_sent_twice(changed: ChangedStory) -> None:
    changed.creates.append({**changed.creates[0], "sid": "SM" + "0" * 32})


@caught_by("lost_acknowledged")
def a_report_lost_on_the_log(changed: ChangedStory) -> None:
    changed.drop("contacts", having(type="contact.reported.v1", status="delivered"), 1)


@caught_by("lost_acknowledged")
def a_row_that_went_back(changed: ChangedStory) -> None:
    last = [record for record in changed.topics["contacts-changelog"] if record.value][-1]
    assert last.value is not None
    changed.topics["contacts-changelog"].append(rewritten(last, {**last.value, "watermark": 0}))


@caught_by("unasked_exits")
def a_worker_that_ended_by_itself(changed: ChangedStory) -> None:
    changed.tell(having(did="died"), setting(code=1), 1)
