"""What could be wrong with a run, applied to its recorded evidence; for each the rules of the checker that must tell.

A mutation is a function over `Changed`; its name says what is wrong.
"""

from collections import Counter, defaultdict
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from ops.chaos.evidence import attempt_of
from tests.support.chaos_changes import Changed, anything, having, rewritten, setting

Mutation = Callable[[Changed], None]
MUTATIONS: list[tuple[Mutation, tuple[str, ...]]] = []


def caught_by(*rules: str) -> Callable[[Mutation], Mutation]:
    """Register a mutation with the rules that must tell of it."""

    def register(mutation: Mutation) -> Mutation:
        MUTATIONS.append((mutation, rules))
        return mutation

    return register


def message_of(changed: Changed, test: Callable[[dict[str, Any]], bool]) -> str:
    """The first message with such an outcome."""
    return str(changed.values("outcomes", test)[0]["message_id"])


def delivered_at_once(value: dict[str, Any]) -> bool:
    """An outcome of one attempt that was delivered."""
    return value["outcome"] == "delivered" and value["revision"] == 1 and len(value["attempts"]) == 1


@caught_by("wrong_inbound")
def all_inbound_lost(changed: Changed) -> None:
    changed.drop("inbound")


@caught_by("wrong_inbound")
def one_inbound_lost(changed: Changed) -> None:
    changed.drop("inbound", most=1)


@caught_by("wrong_consent")
def all_consent_lost(changed: Changed) -> None:
    changed.drop("consent")


@caught_by("wrong_consent")
def one_consent_lost(changed: Changed) -> None:
    changed.drop("consent", most=1)


@caught_by("wrong_updates", "wrong_metrics")
def all_updates_lost(changed: Changed) -> None:
    changed.drop("updates")


def lose_one_update(event: str) -> Callable[[Changed], None]:
    """One update with this event lost, with all its repeats."""

    def mutation(changed: Changed) -> None:
        name = changed.values("updates", having(event=event))[0]["id"]
        changed.drop("updates", having(id=name))

    mutation.__name__ = f"one_update_{event}_lost"
    return mutation


for _event in ("opened", "claimed", "taken", "progressed", "outcome", "repeated", "stage"):
    caught_by("wrong_updates")(lose_one_update(_event))


@caught_by("unjustified_outcomes")
def every_outcome_expired(changed: Changed) -> None:
    changed.edit("outcomes", anything, setting(outcome="expired", reason="expired", error_code=None))


@caught_by("unjustified_outcomes")
def every_outcome_delivered(changed: Changed) -> None:
    changed.edit("outcomes", anything, setting(outcome="delivered", reason="reported", error_code=None))


@caught_by("unjustified_outcomes", "wrong_updates")
def all_later_revisions_lost(changed: Changed) -> None:
    changed.drop("outcomes", lambda value: value["revision"] > 1)


@caught_by("unjustified_outcomes")
def all_later_revisions_lost_with_their_updates(changed: Changed) -> None:
    all_later_revisions_lost(changed)
    changed.drop("updates", lambda value: value.get("revision", 0) > 1)


@caught_by("missing_outcomes", "wrong_updates")
def one_outcome_lost(changed: Changed) -> None:
    changed.drop("outcomes", having(message_id=message_of(changed, delivered_at_once)))


@caught_by("wrong_texts")
def texts_to_the_wrong_person(changed: Changed) -> None:
    other = {create["to"]: before["to"] for create, before in zip(changed.creates[1:], changed.creates, strict=False)}
    changed.take(anything, lambda create: {**create, "to": other.get(create["to"], create["to"])})


@caught_by("wrong_texts")
def one_call_to_the_wrong_person(changed: Changed) -> None:
    person = changed.told("called")[0]["to"]
    changed.tell(lambda entry: entry["did"] == "called" and entry["to"] != person, setting(to=person), 1)


@caught_by("wrong_texts")
def one_wrong_text(changed: Changed) -> None:
    changed.take(anything, setting(body="Build 0 is deployed."), 1)


@caught_by("wrong_texts")
def a_text_that_nobody_asked_for(changed: Changed) -> None:
    callback = changed.creates[0]["status_callback"]
    asked_for, _ = attempt_of(changed.creates[0])
    changed.creates.append({**changed.creates[0], "status_callback": callback.replace(asked_for, asked_for[::-1])})


@caught_by("wrong_texts")
def a_text_after_its_message_had_expired(changed: Changed) -> None:
    changed.tell(having(did="asking"), lambda entry: {**entry, "expires_ms": entry["expires_ms"] - 3_600_000}, 1)


@caught_by("wrong_texts")
def a_text_before_its_time(changed: Changed) -> None:
    changed.tell(having(did="asking"), lambda entry: {**entry, "start_ms": entry["at"] + 3_600_000}, 1)


@caught_by("wrong_texts")
def an_attempt_after_a_cancel(changed: Changed) -> None:
    claimed = changed.values("updates", having(event="claimed"))[0]
    first = next(r for r in changed.topics["contacts"] if r.attempt[0] == claimed["message_id"])
    cancel = rewritten(first, {"type": "contact.cancel_requested.v1", "message_id": claimed["message_id"]})
    changed.topics["contacts"] = [cancel if record == first else record for record in changed.topics["contacts"]]


@caught_by("unsent")
def half_of_the_messages_never_sent(changed: Changed) -> None:
    names = sorted({value["message_id"] for value in changed.values("outcomes", delivered_at_once)})
    changed.never_sent(names[::2])


@caught_by("lost_acknowledged")
def answers_lost_around_a_workers_death(changed: Changed) -> None:
    """38 of them, each passed on to the worker shortly before it died."""
    death = changed.told("died")[0]
    answered = [e for e in changed.told("answered") if e["status"] == 201 and e["at"] <= death["at"]][-38:]
    assert len(answered) == 38
    gone = {entry["sid"] for entry in answered}
    moved = setting(at=death["at"] - 100, worker=death["part"])
    changed.tell(lambda entry: entry["did"] == "answered" and entry["sid"] in gone, moved)
    changed.drop("contacts", lambda value: value["type"] == "contact.answered.v1" and value.get("sid") in gone)
    changed.drop("updates", lambda value: value.get("event") == "taken" and value.get("message_sid") in gone)


@caught_by("wrong_updates", "wrong_outcomes")
def answers_lost_on_the_log_alone(changed: Changed) -> None:
    changed.drop("contacts", having(type="contact.answered.v1", answer="taken"), 5)


@caught_by("wrong_metrics")
def a_counter_off_by_one(changed: Changed) -> None:
    last = changed.values("metrics", having(metric="accepted"))[-1]
    changed.edit("metrics", lambda value: value == last, setting(value=last["value"] + 1))


@caught_by("wrong_metrics")
def a_counter_series_missing(changed: Changed) -> None:
    labels = changed.values("metrics", having(metric="outcomes"))[0]["labels"]
    changed.drop("metrics", having(metric="outcomes", labels=labels))


@caught_by("wrong_metrics")
def all_metrics_lost(changed: Changed) -> None:
    changed.drop("metrics")


@caught_by("wrong_metrics")
def a_histogram_with_one_duration_in_another_bucket(changed: Changed) -> None:
    def moved(value: dict[str, Any]) -> dict[str, Any]:
        first, second, *rest = value["buckets"]
        return {**value, "buckets": [first + 1, second - 1, *rest]}

    changed.edit("metrics", having(metric="create_to_delivered_seconds"), moved)


@caught_by("wrong_metrics")
def a_metric_of_another_tenant(changed: Changed) -> None:
    labels = changed.values("metrics", having(metric="taken"))[0]["labels"]
    other = setting(labels={**labels, "tenant": "other"})
    changed.edit("metrics", having(metric="taken", labels=labels), other)


@caught_by("disordered_notices")
def an_update_out_of_order(changed: Changed) -> None:
    first, *_, last = [record for record in changed.topics["updates"] if record.partition == 0]
    rest = [record for record in changed.topics["updates"] if record != first]
    changed.topics["updates"] = sorted([*rest, first._replace(offset=last.offset + 1)], key=lambda record: record[:2])


def two_calls_of_one_contact(changed: Changed) -> tuple[dict[str, Any], dict[str, Any]]:
    """First calls of two messages of equal priority: of all such the two with the least time between them."""
    priorities = {r["message_id"]: e["priority"] for e in changed.told("asking") for r in e["recipients"]}
    alike: defaultdict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for call in changed.told("called", attempt=1):
        alike[call["to"], priorities[call["message_id"]]].append(call)
    pairs = [(a, b) for calls in alike.values() for a, b in pairwise(calls) if a["message_id"] != b["message_id"]]
    return min(pairs, key=lambda pair: int(pair[1]["at"] - pair[0]["at"]))


@caught_by("reversed_calls")
def two_calls_of_one_contact_reversed(changed: Changed) -> None:
    first, second = two_calls_of_one_contact(changed)
    changed.tell(lambda entry: entry is first, setting(at=second["at"] + 1))


@caught_by("reversed_calls")
def a_turn_granted_before_the_message_before_has_its_result(changed: Changed) -> None:
    first, second = two_calls_of_one_contact(changed)
    turns = [r for r in changed.topics["contacts"] if r.kind == "contact.turn_granted.v1"]
    before, after = (next(r for r in turns if r.attempt[0] == call["message_id"]) for call in (first, second))
    others = [record for record in changed.topics["contacts"] if record != after]
    changed.topics["contacts"] = [*others, after._replace(offset=before.offset)]


@caught_by("reversed_calls")
def two_requests_of_one_producer_reversed_on_the_log(changed: Changed) -> None:
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


@caught_by("wrong_outcomes")
def an_outcome_under_another_tenant(changed: Changed) -> None:
    changed.edit("outcomes", anything, setting(tenant="other"), 1)


@caught_by("wrong_outcomes", "missing_outcomes")
def an_outcome_under_another_key(changed: Changed) -> None:
    changed.edit(
        "outcomes", having(message_id=message_of(changed, delivered_at_once)), setting(idempotency_key="chaos-0")
    )


@caught_by("wrong_outcomes")
def an_outcome_of_another_recipient(changed: Changed) -> None:
    first, other = changed.values("outcomes")[0]["recipient"], changed.values("outcomes")[-1]["recipient"]
    assert first["masked"] != other["masked"]
    changed.edit("outcomes", anything, setting(recipient=other), 1)


@caught_by("wrong_outcomes")
def an_outcome_that_leaves_an_attempt_out(changed: Changed) -> None:
    changed.edit("outcomes", delivered_at_once, setting(attempts=[]), 1)


@caught_by("wrong_outcomes")
def an_outcome_with_the_sid_of_another_message(changed: Changed) -> None:
    first, other = changed.values("outcomes", delivered_at_once)[:2]
    changed.edit("outcomes", having(id=first["id"]), setting(attempts=other["attempts"]))


@caught_by("wrong_outcomes", "missing_outcomes")
def a_first_revision_that_is_called_the_second(changed: Changed) -> None:
    name = message_of(changed, delivered_at_once)
    changed.edit("outcomes", having(message_id=name), setting(revision=2, id=f"{name}:2"))


@caught_by("unjustified_outcomes")
def an_outcome_suppressed_though_nobody_opted_out(changed: Changed) -> None:
    """The message was never sent: no text of it contradicts."""
    suppressed = changed.values("outcomes", having(outcome="suppressed", reason="opted_out"))[0]
    contact = suppressed["message_id"].partition("-")[0]
    texts = [r for r in changed.topics["contacts"] if r.key == contact and r.kind == "contact.texted.v1"]
    changed.topics["contacts"] = [r for r in changed.topics["contacts"] if r not in texts]


@caught_by("unjustified_outcomes")
def an_outcome_expired_before_its_time(changed: Changed) -> None:
    changed.never_sent([message_of(changed, delivered_at_once)])


@caught_by("unjustified_outcomes")
def an_outcome_that_failed_with_another_code(changed: Changed) -> None:
    changed.edit("outcomes", having(outcome="undelivered"), setting(error_code=30008, reason="unknown"))


@caught_by("unjustified_outcomes")
def an_outcome_unconfirmed_while_reports_may_come(changed: Changed) -> None:
    changed.edit("outcomes", delivered_at_once, setting(outcome="unconfirmed", reason="no_receipt"), 1)


@caught_by("unlearnt")
def receipts_that_nobody_looked_for(changed: Changed) -> None:
    names = {value["message_id"] for value in changed.values("outcomes", having(outcome="unconfirmed"))}
    changed.take(lambda create: attempt_of(create)[0] in names, setting(status="delivered"))


@caught_by("wrong_inbound", "conflicting_outcomes")
def an_inbound_record_again_with_other_content(changed: Changed) -> None:
    changed.add("inbound", anything, setting(answered_by="nobody"))


@caught_by("wrong_inbound")
def an_inbound_record_of_another_intent(changed: Changed) -> None:
    changed.edit("inbound", having(intent="stop"), setting(intent="none"), 1)


@caught_by("wrong_inbound")
def an_inbound_record_of_a_text_that_nobody_wrote(changed: Changed) -> None:
    changed.add("inbound", anything, setting(message_sid="SM" + "0" * 32, id="0"))


@caught_by("wrong_inbound", "wrong_consent", "lost_acknowledged")
def a_stop_lost_on_the_log(changed: Changed) -> None:
    changed.drop("contacts", having(type="contact.texted.v1", intent="stop"), 1)


@caught_by("wrong_inbound", "wrong_consent")
def a_stop_read_as_an_ordinary_text(changed: Changed) -> None:
    changed.edit("contacts", having(type="contact.texted.v1", intent="stop"), setting(intent="none"), 1)


@caught_by("wrong_consent")
def a_consent_change_with_the_wrong_state(changed: Changed) -> None:
    changed.edit("consent", having(state="opted_out"), setting(state="opted_in"), 1)


@caught_by("wrong_consent")
def a_consent_change_that_nothing_led_to(changed: Changed) -> None:
    changed.add("consent", anything, lambda value: {**value, "cause": {"partition": 0, "offset": 0, "index": 0}})


@caught_by("sends_after_stop")
def a_stop_not_honoured(changed: Changed) -> None:
    """A message that was suppressed is called after all."""
    contact = message_of(changed, having(outcome="suppressed", reason="opted_out"))
    at = max(entry["at"] for entry in changed.diary)
    changed.diary.append(
        {"did": "called", "at": at, "worker": "worker-1", "message_id": contact, "attempt": 1, "to": "", "body": ""}
    )


@caught_by("duplicate_creates")
def a_text_sent_twice(changed: Changed) -> None:
    changed.creates.append({**changed.creates[0], "sid": "SM" + "0" * 32})


@caught_by("wrong_updates")
def an_update_of_a_claim_without_a_turn(changed: Changed) -> None:
    changed.drop("contacts", having(type="contact.turn_granted.v1"), 1)


@caught_by("wrong_updates")
def an_update_that_says_another_status_than_the_report(changed: Changed) -> None:
    changed.edit("updates", having(event="progressed", state="sent"), setting(state="delivered"), 1)


@caught_by("wrong_updates")
def an_update_with_the_sid_of_another_text(changed: Changed) -> None:
    sid = changed.creates[-1]["sid"]
    changed.edit("updates", having(event="progressed", state="sent"), setting(message_sid=sid), 1)


@caught_by("wrong_updates")
def an_update_under_another_tenant(changed: Changed) -> None:
    changed.edit("updates", having(event="opened"), setting(tenant="other"), 1)


@caught_by("lost_acknowledged")
def a_report_lost_on_the_log(changed: Changed) -> None:
    changed.drop("contacts", having(type="contact.reported.v1", status="delivered"), 1)


@caught_by("lost_acknowledged")
def a_row_that_went_back(changed: Changed) -> None:
    last = [record for record in changed.topics["contacts-changelog"] if record.value][-1]
    assert last.value is not None
    changed.topics["contacts-changelog"].append(rewritten(last, {**last.value, "watermark": 0}))


@caught_by("unasked_exits")
def a_worker_that_ended_by_itself(changed: Changed) -> None:
    changed.tell(having(did="died"), setting(code=1), 1)
