"""Mutations of what is told of inputs: inbound texts, consent, updates, metrics."""

from collections.abc import Callable
from typing import Any

from tests.support.chaos_changes import ChangedStory, anything, having, setting
from tests.support.chaos_mutations import Mutations, registering

MUTATIONS: Mutations = []
caught_by = registering(MUTATIONS)


@caught_by("wrong_inbound")
def all_inbound_lost(changed: ChangedStory) -> None:
    changed.drop("inbound")


@caught_by("wrong_inbound")
def one_inbound_lost(changed: ChangedStory) -> None:
    changed.drop("inbound", most=1)


@caught_by("wrong_consent")
def all_consent_lost(changed: ChangedStory) -> None:
    changed.drop("consent")


@caught_by("wrong_consent")
def one_consent_lost(changed: ChangedStory) -> None:
    changed.drop("consent", most=1)


@caught_by("wrong_updates", "wrong_metrics")
def all_updates_lost(changed: ChangedStory) -> None:
    changed.drop("updates")


def lose_one_update(event: str) -> Callable[[ChangedStory], None]:
    """One update with this event lost, with all its repeats."""

    def mutation(changed: ChangedStory) -> None:
        name = changed.values("updates", having(event=event))[0]["id"]
        changed.drop("updates", having(id=name))

    mutation.__name__ = f"one_update_{event}_lost"
    return mutation


for _event in ("opened", "claimed", "taken", "progressed", "outcome", "repeated", "stage"):
    caught_by("wrong_updates")(lose_one_update(_event))


@caught_by("wrong_updates", "wrong_outcomes")
def answers_lost_on_the_log_alone(changed: ChangedStory) -> None:
    changed.drop("contacts", having(type="contact.answered.v1", answer="taken"), 5)


@caught_by("wrong_metrics")
def a_counter_off_by_one(changed: ChangedStory) -> None:
    last = changed.values("metrics", having(metric="accepted"))[-1]
    changed.edit("metrics", lambda value: value == last, setting(value=last["value"] + 1))


@caught_by("wrong_metrics")
def a_counter_series_missing(changed: ChangedStory) -> None:
    labels = changed.values("metrics", having(metric="outcomes"))[0]["labels"]
    changed.drop("metrics", having(metric="outcomes", labels=labels))


@caught_by("wrong_metrics")
def all_metrics_lost(changed: ChangedStory) -> None:
    changed.drop("metrics")


@caught_by("wrong_metrics")
def a_histogram_with_one_duration_in_another_bucket(changed: ChangedStory) -> None:
    def moved(value: dict[str, Any]) -> dict[str, Any]:
        first, second, *rest = value["buckets"]
        return {**value, "buckets": [first + 1, second - 1, *rest]}

    changed.edit("metrics", having(metric="create_to_delivered_seconds"), moved)


@caught_by("wrong_metrics")
def a_metric_of_another_tenant(changed: ChangedStory) -> None:
    labels = changed.values("metrics", having(metric="taken"))[0]["labels"]
    other = setting(labels={**labels, "tenant": "other"})
    changed.edit("metrics", having(metric="taken", labels=labels), other)


@caught_by("disordered_notices")
def an_update_out_of_order(changed: ChangedStory) -> None:
    first, *_, last = [record for record in changed.topics["updates"] if record.partition == 0]
    rest = [record for record in changed.topics["updates"] if record != first]
    changed.topics["updates"] = sorted([*rest, first._replace(offset=last.offset + 1)], key=lambda record: record[:2])


@caught_by("wrong_inbound", "conflicting_outcomes")
def an_inbound_record_again_with_other_content(changed: ChangedStory) -> None:
    changed.add("inbound", anything, setting(answered_by="nobody"))


@caught_by("wrong_inbound")
def an_inbound_record_of_another_intent(changed: ChangedStory) -> None:
    changed.edit("inbound", having(intent="stop"), setting(intent="none"), 1)


@caught_by("wrong_inbound")
def an_inbound_record_of_a_text_that_nobody_wrote(changed: ChangedStory) -> None:
    changed.add("inbound", anything, setting(message_sid="SM" + "0" * 32, id="0"))


@caught_by("wrong_inbound", "wrong_consent", "lost_acknowledged")
def a_stop_lost_on_the_log(changed: ChangedStory) -> None:
    changed.drop("contacts", having(type="contact.texted.v1", intent="stop"), 1)


@caught_by("wrong_inbound", "wrong_consent")
def a_stop_read_as_an_ordinary_text(changed: ChangedStory) -> None:
    changed.edit("contacts", having(type="contact.texted.v1", intent="stop"), setting(intent="none"), 1)


@caught_by("wrong_consent")
def a_consent_change_with_the_wrong_state(changed: ChangedStory) -> None:
    changed.edit("consent", having(state="opted_out"), setting(state="opted_in"), 1)


@caught_by("wrong_consent")
def a_consent_change_that_nothing_led_to(changed: ChangedStory) -> None:
    changed.add("consent", anything, lambda value: {**value, "cause": {"partition": 0, "offset": 0, "index": 0}})


@caught_by("wrong_updates")
def an_update_of_a_claim_without_a_turn(changed: ChangedStory) -> None:
    changed.drop("contacts", having(type="contact.turn_granted.v1"), 1)


@caught_by("wrong_updates")
def an_update_that_says_another_status_than_the_report(changed: ChangedStory) -> None:
    changed.edit("updates", having(event="progressed", state="sent"), setting(state="delivered"), 1)


@caught_by("wrong_updates")
def an_update_with_the_sid_of_another_text(changed: ChangedStory) -> None:
    sid = changed.creates[-1]["sid"]
    changed.edit("updates", having(event="progressed", state="sent"), setting(message_sid=sid), 1)


@caught_by("wrong_updates")
def an_update_under_another_tenant(changed: ChangedStory) -> None:
    changed.edit("updates", having(event="opened"), setting(tenant="other"), 1)


@caught_by("wrong_updates")
def a_number_called_invalid_by_nothing(changed: ChangedStory) -> None:
    delivered = changed.values("updates", having(event="progressed", state="delivered"))[0]
    told = setting(cause=delivered["cause"], contact_id=delivered["message_id"].partition("-")[0], state="invalid")
    changed.edit("updates", having(type="notify.number_changed.v1"), told, 1)
