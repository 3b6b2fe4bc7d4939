"""Attempts in doubt now: a gauge that is right after a restart, and a log line when one begins."""

from structlog.testing import capture_logs

from app.domain.model.vocabulary import DeliveryStatus, DueKind
from app.streams.monitoring.in_doubt import AttemptsInDoubt
from tests.support.given import ContactLog, doubtful, due, given, report, requested, turn


def gauge(doubts: AttemptsInDoubt) -> dict[tuple[str, str], float]:
    (family,) = doubts.collect()
    return {(sample.labels["tenant"], sample.labels["lane"]): sample.value for sample in family.samples}


def seen(*logs: ContactLog, log_new: bool = True) -> AttemptsInDoubt:
    doubts = AttemptsInDoubt()
    for number, log in enumerate(logs):
        doubts.assigned(number)
        doubts.see(number, log.message(), log_new=log_new)
    return doubts


def test_an_attempt_in_doubt_counts_by_tenant_and_lane_on_every_partition():
    log = given(requested(), turn(), doubtful())
    assert gauge(seen(log, log)) == {("acme", "main"): 2.0}


def test_a_claim_is_not_in_doubt_before_its_time_is_up():
    log = given(requested(), turn())
    assert gauge(seen(log)) == {}
    log.then(due(DueKind.DOUBT, log.message().attempts[0].claimed_ms + 60_000))
    assert gauge(seen(log)) == {("acme", "main"): 1.0}


def test_it_counts_no_more_once_it_is_resolved_or_its_outcome_is_given_or_the_partition_is_anothers():
    log = given(requested(), turn(), doubtful())
    doubts = seen(log)
    doubts.see(0, log.then(report(DeliveryStatus.SENT)).message())
    assert gauge(doubts) == {}
    log = given(requested(), turn(), doubtful())
    log.then(due(DueKind.OUTCOME, log.message().policy.outcome_ms))
    assert gauge(seen(log)) == {}
    doubts = seen(given(requested(), turn(), doubtful()))
    doubts.revoked(0)
    assert gauge(doubts) == {}


def test_each_doubt_is_logged_once_as_it_begins_and_not_when_it_is_inherited():
    log = given(requested(), turn(), doubtful())
    with capture_logs() as said:
        inherited = seen(log, log_new=False)
        inherited.see(0, log.message())
        assert said == []
        doubts = seen(log)
        doubts.see(0, log.message())
    assert [(line["event"], line["lane"], line["attempt"]) for line in said] == [("attempt.in_doubt", "main", 1)]
