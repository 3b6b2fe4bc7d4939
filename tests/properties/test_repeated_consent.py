"""P3: whatever the order, the repeats and the sources of STOP and START, the latest distinct text as received decides."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from app.domain.model.consent_texts import REOPEN_MS
from app.domain.model.inputs import TextArrived
from app.domain.model.row_limits import KEPT_CONSENT_TEXTS
from app.domain.model.vocabulary import Intent, Provenance
from tests.support.given import START_MS, ContactLog, text

INTENTS = st.sampled_from([Intent.STOP, Intent.START])
# When the first delivery was received, and how much later others were.
TEXTS = st.lists(
    st.tuples(INTENTS, st.integers(0, 30_000), st.lists(st.integers(0, 200_000), max_size=3)), min_size=1, max_size=8
)


def wanted(texts: list[tuple[Intent, int, list[int]]]) -> bool:
    """Whether the person is opted out: the latest STOP is not more than two seconds older than the latest START."""
    stops = [at for intent, at, _ in texts if intent is Intent.STOP]
    starts = [at for intent, at, _ in texts if intent is Intent.START]
    return bool(stops) and max(stops) + REOPEN_MS >= max(starts, default=0)


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[bool, list[TextArrived]]:
    """Whether they opt out, and each text with its repeats, by webhook or found on the list, in any order."""
    texts = draw(TEXTS)
    each = [
        text(intent, START_MS + at + later, f"IN{n}")
        for n, (intent, at, again) in enumerate(texts)
        for later in (0, *again)
    ]
    found = st.sampled_from(Provenance)
    talk = [text(Intent.NONE, START_MS, f"N{n}") for n in range(draw(st.sampled_from([0, 0, 25])))]
    return wanted(texts), draw(st.permutations([replace(one, provenance=draw(found)) for one in each] + talk))


@settings(max_examples=300, deadline=None)
@given(deliveries())
def test_p3_the_latest_distinct_text_as_received_decides(case: tuple[bool, list[TextArrived]]) -> None:
    opted_out, history = case
    log = ContactLog().then(*history)
    assert log.contact is not None
    assert log.contact.consent.opted_out is opted_out


@settings(max_examples=60, deadline=None)
@given(st.integers(KEPT_CONSENT_TEXTS, 90), st.data())
def test_p3_with_more_texts_than_are_remembered_no_repeat_by_webhook_reopens(count: int, data: st.DataObject) -> None:
    history = [text(data.draw(INTENTS), START_MS + 10_000 * n, f"IN{n}") for n in range(count)]
    log = ContactLog().then(*history, text(Intent.STOP, START_MS + 10_000 * count, "LAST"))
    repeats = data.draw(st.lists(st.sampled_from(history), max_size=6))
    log.then(*(replace(one, at=START_MS + 10_000 * (count + 1 + n)) for n, one in enumerate(repeats)))
    assert log.contact is not None and log.contact.consent.opted_out
    texts = log.contact.consent.texts
    assert len(texts) <= KEPT_CONSENT_TEXTS
    assert all(one.received_ms <= other.received_ms for one, other in pairwise(texts))
