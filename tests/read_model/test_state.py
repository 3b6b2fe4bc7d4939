"""The row of a message as the fold of its records: any interleaving and repetition gives the same one."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from app.domain.model.vocabulary import STATUS_WORDS, DeliveryStatus
from app.read_model.state import MessageState, after_outcome, after_update, key_hash
from app.records.outcomes import NotifyOutcome
from app.records.updates import NotifyUpdated
from tests.support.projected import MESSAGE, SID, outcome, update

BARE = MessageState(message_id=MESSAGE, tenant="acme")
WORDS = [
    "claimed",
    "taken",
    "refused",
    "doubtful",
    "abandoned",
    "doubted",
    "unbound",
    "stage",
    "conflicted",
    "repeated",
    "archived",
]


def fold(*records: NotifyUpdated | NotifyOutcome) -> MessageState:
    state = BARE
    for record in records:
        is_update = isinstance(record, NotifyUpdated)
        state = (
            after_update(state, record, "h" * (record.event == "opened"), record.at_ms)
            if is_update
            else after_outcome(state, record, "h", 5000)
        )
    return state


def test_a_message_goes_from_opened_over_its_attempt_to_its_outcome() -> None:
    way = [
        update(1, "opened", "waiting"),
        update(2, "claimed", attempt=1),
        update(3, "taken", attempt=1, sid=SID),
        update(4, "progressed", "sent", 1, SID),
    ]
    state = fold(*way)
    assert (state.stage, state.request_digest, state.opened_ms, state.changed_ms) == ("sent", "d1", 1001, 1004)
    assert [(one.state, one.message_sid) for one in state.attempts] == [("sent", SID)]
    assert (fold(*way, outcome(1)).outcome, fold(*way, outcome(1)).revision) == ("delivered", 1)


def test_a_row_is_kept_by_the_log_time_of_its_records_not_by_what_they_say() -> None:
    assert after_update(BARE, update(1, "opened", "waiting"), "", 77).changed_ms == 77


def test_a_report_that_outran_its_answer_is_not_taken_back_by_it_and_the_answer_tells_the_sid() -> None:
    state = fold(
        update(1, "claimed", attempt=1), update(2, "progressed", "sent", 1), update(3, "taken", attempt=1, sid=SID)
    )
    assert (state.stage, state.attempts[0].state, state.attempts[0].message_sid) == ("sent", "sent", SID)


def test_progress_only_rises_and_delivered_stays() -> None:
    state = fold(update(1, "progressed", "delivered", 1, SID), update(2, "progressed", "sent", 1, SID))
    assert (state.stage, state.attempts[0].state) == ("delivered", "delivered")


def test_a_retry_is_a_step_on_though_the_attempt_before_was_reported_on() -> None:
    state = fold(
        update(1, "progressed", "undelivered", 1, SID), update(2, "stage", "retrying"), update(3, "claimed", attempt=2)
    )
    assert (state.stage, [one.state for one in state.attempts]) == ("claimed", ["undelivered", "claimed"])


def test_what_was_taken_for_an_attempts_text_and_is_not_is_forgotten() -> None:
    state = fold(update(1, "progressed", "sent", 1, SID), update(2, "unbound", "in_doubt", 1))
    assert (state.stage, state.attempts[0].message_sid) == ("in_doubt", "")


def test_a_conflict_changes_nothing_of_the_message_that_its_key_names() -> None:
    before = fold(update(1, "opened", "waiting"))
    after = fold(update(1, "opened", "waiting"), update(2, "conflicted", "conflict"))
    assert msgspec.structs.replace(after, update_offset=1, changed_ms=before.changed_ms) == before


updates = st.lists(
    st.tuples(
        st.sampled_from(["opened", "progressed", *WORDS]), st.integers(1, 3), st.sampled_from(sorted(DeliveryStatus))
    ),
    min_size=1,
    max_size=12,
).map(
    lambda made: [
        update(n, event, STATUS_WORDS[p] if event == "progressed" else event, a, SID * (n % 2))
        for n, (event, a, p) in enumerate(made)
    ]
)


@given(updates, st.integers(0, 3), st.data())
def test_interleaving_of_the_topics_and_repeats_within_each_do_not_matter(
    told: list[NotifyUpdated], revisions: int, data: st.DataObject
) -> None:
    """As topics are: each in its order, where a producer that died repeats the end of what it wrote."""
    outcomes = [
        outcome(n + 1, word) for n, word in zip(range(revisions), ("failed", "undelivered", "delivered"), strict=False)
    ]

    def repeated(records: list) -> list:
        cut = data.draw(st.integers(0, len(records)))
        return records + records[cut:]

    one, other, mixed = repeated(told), repeated(outcomes), []
    while one or other:
        mixed.append((one if one and (not other or data.draw(st.booleans())) else other).pop(0))
    assert fold(*mixed) == fold(*told, *outcomes)


@given(updates)
def test_the_progress_of_an_attempt_rises_or_is_disproved(told: list[NotifyUpdated]) -> None:
    ranks: dict[int, int] = {}
    for end in range(1, len(told) + 1):
        for one in fold(*told[:end]).attempts:
            disproved = told[end - 1].event == "unbound" and told[end - 1].attempt == one.attempt
            assert one.rank >= ranks.get(one.attempt, 0) or disproved
            ranks[one.attempt] = one.rank


def test_the_hash_of_a_key_is_of_its_tenant_and_of_our_secret() -> None:
    hashes = {
        key_hash(secret, tenant, key)
        for secret in (b"1" * 32, b"2" * 32)
        for tenant, key in (("a", "bk"), ("ab", "k"), ("a", "k"))
    }
    assert len(hashes) == 6 and {len(one) for one in hashes} == {32}
