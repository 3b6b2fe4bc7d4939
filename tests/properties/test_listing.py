"""P5 and P2 with Twilio's list among the evidence: its order among answers and reports makes no difference."""

from hypothesis import given as cases
from hypothesis import settings
from hypothesis import strategies as st

from app.domain.model.contact import may_arrive
from app.domain.model.vocabulary import Category, DeliveryStatus, DueKind, ErrorClass, Stage
from tests.support.given import KEY, ContactLog, doubtful, due, listed, report, requested, seen, taken, turn

TWIN = "b" * 20
NEWS = [p for p in DeliveryStatus if p > DeliveryStatus.CLAIMED]
CODES = {
    DeliveryStatus.FAILED: (30006, ErrorClass.NUMBER_INVALID),
    DeliveryStatus.UNDELIVERED: (30007, ErrorClass.FILTERED),
}


def coded(progress: DeliveryStatus) -> dict[str, object]:
    code, error = CODES.get(progress, (None, None))
    return {"code": code, "error": error}


def ends(log: ContactLog, *keys: str) -> list[object]:
    messages = [log.message(key) for key in keys]
    return [(m.word, [(a.progress, a.code, a.error, a.sid) for a in m.attempts]) for m in messages]


def in_any_order(data: st.DataObject, evidence: list[object]) -> list[object]:
    return data.draw(st.permutations(evidence + data.draw(st.lists(st.sampled_from(evidence), max_size=3))))


@settings(max_examples=300, deadline=None)
@cases(st.lists(st.sampled_from(NEWS), max_size=3), st.sampled_from(NEWS), st.booleans(), st.data())
def test_p5_answer_reports_and_list_in_any_order_end_in_the_same_place(news, on_list, answers, data):
    evidence = [report(p, **coded(p)) for p in news] + [listed(seen("SM1", on_list, **coded(on_list)))]
    evidence += [taken()] * answers
    began = [requested(), turn(), doubtful()]
    one, other = ContactLog().then(*began, *evidence), ContactLog().then(*began, *in_any_order(data, evidence))
    assert ends(one, KEY) == ends(other, KEY)


@settings(max_examples=400, deadline=None)
@cases(
    st.lists(st.sampled_from(NEWS), min_size=2, max_size=2),
    st.lists(st.sampled_from(NEWS), min_size=2, max_size=2),
    st.lists(st.sampled_from([KEY, TWIN]), min_size=1, max_size=2, unique=True),
    st.data(),
)
def test_p5_of_twins_in_doubt_each_gets_its_own_text_whatever_the_order(on_list, reported, told, data):
    sids = {KEY: "SM1", TWIN: "SM2"}
    whole = [seen(sid, p, **coded(p)) for sid, p in zip(sids.values(), on_list, strict=True)]
    evidence = [listed(*whole, keys=(KEY, TWIN))]
    evidence += [report(p, 1, sids[key], **coded(p), key=key) for key, p in zip(told, reported, strict=False)]
    began = [requested(), requested(TWIN), turn(), doubtful(), turn(1, TWIN), doubtful(1, TWIN)]
    one, other = ContactLog().then(*began, *evidence), ContactLog().then(*began, *in_any_order(data, evidence))
    assert ends(one, KEY, TWIN) == ends(other, KEY, TWIN)
    assert [log.message(key).attempts[0].sid for log in (one, other) for key in sids] == ["SM1", "SM2"] * 2


@settings(max_examples=300, deadline=None)
@cases(st.lists(st.builds(seen, st.sampled_from(["SM1", "SM2"]), st.sampled_from(NEWS)), max_size=4), st.integers(1, 3))
def test_p2_a_list_never_gives_one_text_to_two_attempts(texts, doubts):
    keys = [str(n) * 20 for n in range(doubts)]
    log = ContactLog().then(*(step for key in keys for step in (requested(key), turn(1, key), doubtful(1, key))))
    log.then(*(listed(text, keys=tuple(keys)) for text in texts))
    sids = [a.sid for key in keys for a in log.message(key).attempts if a.sid]
    assert len(sids) == len(set(sids)) and (doubts == 1 or not sids)


@settings(max_examples=300, deadline=None)
@cases(st.lists(st.one_of(st.sampled_from(NEWS), st.none()), max_size=12), st.data())
def test_p2_an_alert_in_doubt_is_sent_again_no_oftener_than_it_may_be_retried(steps, data):
    log = ContactLog().then(requested(resend_after_ms=1000, category=Category.ALERT, retry_delays_ms=(1000, 2000)))
    for step in steps:
        message, n = log.message(), len(log.message().attempts)
        if message.stage is Stage.WAITING:
            log.then(turn(message.asked), doubtful(message.asked))
        elif message.stage is Stage.RETRYING and step is None:
            log.now_ms = max(log.now_ms, message.due_ms)
            log.then(due(DueKind.RETRY, message.due_ms))
        elif step is not None and n:
            which = data.draw(st.integers(1, n))
            log.then(report(step, which, f"SM{which}", **coded(step)))
    assert len(log.message().attempts) <= 3
    delivered = [a for a in log.message().attempts if a.progress >= DeliveryStatus.DELIVERED]
    assert not delivered or log.message().word == "delivered"
    assert log.message().word != "failed" or not any(may_arrive(a) for a in log.message().attempts)
