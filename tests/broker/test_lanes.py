"""A lane with a rate, a real worker: who waits, who goes first, and what a kill leaves of the queue."""

import json
from collections import Counter
from collections.abc import Iterator
from urllib.request import urlopen

import pytest

from app import clock
from app.dev.dev_cluster import DevCluster
from tests.support.cluster import event, produce, read, standing
from tests.support.engine_lab import until

BULK = 24
SETTINGS = {"HELIOGRAPH_RATE": "4", "HELIOGRAPH_CLAIM_TTL_S": "1", "HELIOGRAPH_HTTP_TIMEOUT_S": "2",
            "HELIOGRAPH_DOUBT_AFTER_S": "4", "HELIOGRAPH_SESSION_TIMEOUT_S": "4"}  # fmt: skip


@pytest.fixture(scope="module")
def stand(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevCluster]:
    """Six seconds of bulk, then somebody urgent and somebody who cannot wait for long; the worker is killed
    once the urgent text is out."""
    path, mix = tmp_path_factory.mktemp("lanes"), ["--mix", '{"delivered": 1.0}']
    with standing(kafka, path, extra=SETTINGS, simulator=mix) as made:
        produce(made, *(event(n, body=f"Bulk {n}.", priority="bulk") for n in range(BULK)))
        until(lambda: happened(made)["opened"] == BULK)
        soon = clock.iso(clock.now_ms() + 1500)
        produce(made, event(50, body="Soon.", priority="bulk", expires_at=soon), event(51, priority="urgent"))
        until(lambda: happened(made)["opened"] == BULK + 2 and "Build 51." in creates(made))
        made.parts["worker-1"].kill()
        made.parts["worker-1"].restart()
        yield made


def happened(stand: DevCluster) -> Counter[str]:
    """In how many messages, by event."""
    updates = read(stand, "notify.updates")
    return Counter(event for event, _ in {(u.get("event"), u.get("message_id")) for u in updates})


def creates(stand: DevCluster) -> list[str]:
    """Texts, in the order in which they were taken."""
    return [c["body"] for c in json.loads(urlopen(stand.addresses()["simulator"] + "/_sim/creates").read())["creates"]]


def test_p1_p2_whoever_waited_when_the_worker_was_killed_gets_a_turn_and_nobody_two(stand: DevCluster) -> None:
    until(lambda: happened(stand)["claimed"] == BULK + 1, 60)
    # A call that the kill forestalled is in doubt for good; whoever had not been granted a turn was not called.
    until(lambda: len(creates(stand)) + happened(stand)["doubted"] >= BULK + 1, 60)
    texts = creates(stand)
    assert len(texts) == len(set(texts))


def test_who_is_urgent_does_not_wait_for_the_bulk_that_asked_before(stand: DevCluster) -> None:
    until(lambda: happened(stand)["claimed"] == BULK + 1, 60)
    texts = creates(stand)
    assert len(texts[texts.index("Build 51.") :]) > 3


def test_who_waited_until_the_deadline_is_not_sent_to_any_more(stand: DevCluster) -> None:
    found = until(lambda: [o for o in read(stand, "notify.outcomes") if o["idempotency_key"] == "k50"])
    assert (found[0]["outcome"], found[0]["reason"]) == ("expired", "expired")
    until(lambda: happened(stand)["claimed"] == BULK + 1, 60)
    assert "Soon." not in creates(stand)
