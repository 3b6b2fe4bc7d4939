"""Messages counted end to end: a real worker, killed on the way, and a real bridge."""

from collections import Counter
from collections.abc import Iterator
from urllib.request import urlopen

import pytest

from app.dev.dev_cluster import DevCluster
from tests.support.bridged import Samples
from tests.support.cluster import event, produce, read, standing
from tests.support.engine_lab import until


@pytest.fixture(scope="module")
def stand(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevCluster]:
    path = tmp_path_factory.mktemp("metrics")
    with standing(kafka, path, bridge=True, simulator=["--mix", '{"delivered": 1.0}']) as made:
        yield made


def scrape(stand: DevCluster) -> Samples:
    return Samples(urlopen(stand.addresses()["metrics"]).read().decode())


def total(stand: DevCluster, name: str) -> float:
    return sum(value for key, value in scrape(stand).items() if key.startswith(f"heliograph_{name}{{"))


def counted(stand: DevCluster) -> dict[str, float]:
    names = ("accepted_total", "taken_total", "doubted_total", "outcomes_total", "create_to_delivered_seconds_count")
    return {name: total(stand, name) for name in names}


def told(stand: DevCluster) -> dict[str, float]:
    """The same from the updates, each once. A worker killed before it heard an answer knows no begin of that call."""
    updates = list({u["id"]: u for u in read(stand, "notify.updates") if u["type"] == "notify.updated.v1"}.values())
    events = Counter(update["event"] for update in updates)
    return {
        "accepted_total": events["opened"],
        "taken_total": events["taken"],
        "doubted_total": events["doubted"],
        "outcomes_total": len([u for u in updates if u.get("revision") == 1]),
        "create_to_delivered_seconds_count": len([u for u in updates if u.get("create_to_delivered_ms") is not None]),
    }


def test_each_message_counts_once_though_the_worker_is_killed_in_between(stand):
    produce(stand, *(event(n) for n in range(20)))
    until(lambda: total(stand, "outcomes_total") > 0)
    stand.parts["worker-1"].kill()
    stand.parts["worker-1"].restart()
    produce(stand, *(event(n) for n in range(20, 30)))
    until(lambda: len(read(stand, "notify.outcomes")) >= 30)
    until(lambda: counted(stand) == told(stand))
    assert counted(stand)["outcomes_total"] == 30


def test_what_was_counted_is_labelled_from_the_lists(stand):
    produce(stand, event(50))
    name = "heliograph_outcomes_total{country=US,outcome=delivered,tenant=default}"
    samples = until(lambda: seen if (seen := scrape(stand))[name] > 0 else None)
    assert samples["heliograph_unlisted_total{label=tenant}"] == 0


def test_the_worker_tells_how_it_stands(stand):
    worker = Samples(urlopen(stand.parts["worker-1"].ready["internal"] + "/metrics").read().decode())
    assert worker["heliograph_worker_assigned_partitions{}"] == 8 * 6, (
        "of each agent, intake of all tenants and of the one"
    )
    assert worker["heliograph_worker_progress_total{}"] > 0
