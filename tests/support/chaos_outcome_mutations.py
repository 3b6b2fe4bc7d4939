"""Mutations of outcomes, and of what was never sent."""

from ops.chaos.evidence import attempt_of
from tests.support.chaos_changes import ChangedStory, anything, having, setting
from tests.support.chaos_mutations import Mutations, delivered_at_once, message_of, registering

MUTATIONS: Mutations = []
caught_by = registering(MUTATIONS)


@caught_by("unjustified_outcomes")
def every_outcome_expired(changed: ChangedStory) -> None:
    changed.edit("outcomes", anything, setting(outcome="expired", reason="expired", error_code=None))


@caught_by("unjustified_outcomes")
def every_outcome_delivered(changed: ChangedStory) -> None:
    changed.edit("outcomes", anything, setting(outcome="delivered", reason="reported", error_code=None))


@caught_by("unjustified_outcomes", "wrong_updates")
def all_later_revisions_lost(changed: ChangedStory) -> None:
    changed.drop("outcomes", lambda value: value["revision"] > 1)


@caught_by("unjustified_outcomes")
def all_later_revisions_lost_with_their_updates(changed: ChangedStory) -> None:
    all_later_revisions_lost(changed)
    changed.drop("updates", lambda value: value.get("revision", 0) > 1)


@caught_by("missing_outcomes", "wrong_updates")
def one_outcome_lost(changed: ChangedStory) -> None:
    changed.drop("outcomes", having(message_id=message_of(changed, delivered_at_once)))


@caught_by("unsent")
def half_of_the_messages_never_sent(changed: ChangedStory) -> None:
    names = sorted({value["message_id"] for value in changed.values("outcomes", delivered_at_once)})
    changed.never_sent(names[::2])


@caught_by("wrong_outcomes")
def an_outcome_under_another_tenant(changed: ChangedStory) -> None:
    changed.edit("outcomes", anything, setting(tenant="other"), 1)


@caught_by("wrong_outcomes", "missing_outcomes")
def an_outcome_under_another_key(changed: ChangedStory) -> None:
    changed.edit(
        "outcomes", having(message_id=message_of(changed, delivered_at_once)), setting(idempotency_key="chaos-0")
    )


@caught_by("wrong_outcomes")
def an_outcome_of_another_recipient(changed: ChangedStory) -> None:
    first, other = changed.values("outcomes")[0]["recipient"], changed.values("outcomes")[-1]["recipient"]
    assert first["masked"] != other["masked"]
    changed.edit("outcomes", anything, setting(recipient=other), 1)


@caught_by("wrong_outcomes")
def an_outcome_that_leaves_an_attempt_out(changed: ChangedStory) -> None:
    changed.edit("outcomes", delivered_at_once, setting(attempts=[]), 1)


@caught_by("wrong_outcomes")
def an_outcome_with_the_sid_of_another_message(changed: ChangedStory) -> None:
    first, other = changed.values("outcomes", delivered_at_once)[:2]
    changed.edit("outcomes", having(id=first["id"]), setting(attempts=other["attempts"]))


@caught_by("wrong_outcomes", "missing_outcomes")
def a_first_revision_that_is_called_the_second(changed: ChangedStory) -> None:
    name = message_of(changed, delivered_at_once)
    changed.edit("outcomes", having(message_id=name), setting(revision=2, id=f"{name}:2"))


@caught_by("unjustified_outcomes")
def an_outcome_suppressed_though_nobody_opted_out(changed: ChangedStory) -> None:
    """The message was never sent: no text of it contradicts."""
    suppressed = changed.values("outcomes", having(outcome="suppressed", reason="opted_out"))[0]
    contact = suppressed["message_id"].partition("-")[0]
    texts = [r for r in changed.topics["contacts"] if r.key == contact and r.kind == "contact.texted.v1"]
    changed.topics["contacts"] = [r for r in changed.topics["contacts"] if r not in texts]


@caught_by("unjustified_outcomes")
def an_outcome_expired_before_its_time(changed: ChangedStory) -> None:
    changed.never_sent([message_of(changed, delivered_at_once)])


@caught_by("unjustified_outcomes")
def an_outcome_that_failed_with_another_code(changed: ChangedStory) -> None:
    changed.edit("outcomes", having(outcome="undelivered"), setting(error_code=30008, reason="unknown"))


@caught_by("unjustified_outcomes")
def an_outcome_unconfirmed_while_reports_may_come(changed: ChangedStory) -> None:
    changed.edit("outcomes", delivered_at_once, setting(outcome="unconfirmed", reason="no_receipt"), 1)


@caught_by("unlearnt")
def receipts_that_nobody_looked_for(changed: ChangedStory) -> None:
    names = {value["message_id"] for value in changed.values("outcomes", having(outcome="unconfirmed"))}
    changed.take(lambda create: attempt_of(create)[0] in names, setting(status="delivered"))
