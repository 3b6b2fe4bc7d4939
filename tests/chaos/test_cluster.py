"""The brokers' settings: one that stands alone, and three that know each other; and the ways that lead to them."""

from pathlib import Path

from ops.chaos.cluster import Cluster

NAMES = {"worker-1": "ONE", "ingress": "DOOR"}


def cluster(count: int, tmp_path: Path) -> Cluster:
    return Cluster(count, tmp_path, NAMES, iter(range(20_000, 20_100)))


def settings(found: Cluster, node: int) -> dict[str, str]:
    lines = found.nodes[node]._properties(Path("data")).splitlines()
    return dict(line.split("=", 1) for line in lines)


def test_a_broker_that_stands_alone_keeps_the_dev_brokers_settings(tmp_path):
    found = settings(cluster(1, tmp_path), 1)
    assert found["node.id"] == "1" and found["offsets.topic.replication.factor"] == "1"
    assert found["message.max.bytes"] == "4194304" and found["auto.create.topics.enable"] == "false"


def test_three_have_numbers_and_ports_of_their_own_and_know_the_same_voters(tmp_path):
    three = [settings(cluster(3, tmp_path), node) for node in (1, 2, 3)]
    assert [one["node.id"] for one in three] == ["1", "2", "3"]
    assert len({one["controller.quorum.voters"] for one in three}) == 1
    ports = [part.rpartition(":")[2] for one in three for part in one["listeners"].split(",")]
    assert len(set(ports)) == len(ports) == 3 * (2 + len(NAMES))


def test_of_three_two_must_have_what_is_acknowledged(tmp_path):
    found = settings(cluster(3, tmp_path), 2)
    assert {found[name] for name in found if name.endswith(".replication.factor")} == {"3"}
    assert {found[name] for name in found if name.endswith(".min.isr")} == {"2"}


def test_each_part_is_told_the_proxies_of_every_broker_and_the_brokers_tell_it_the_same(tmp_path):
    found = cluster(3, tmp_path)
    told = {settings(found, node)["advertised.listeners"] for node in found.nodes}
    ways = [f"ONE://{address}" for address in found.ways["worker-1"].servers.split(",")]
    assert len(ways) == 3 and all(any(way in one for one in told) for way in ways)


def test_the_proxies_of_one_part_misbehave_together(tmp_path):
    way = cluster(3, tmp_path).ways["ingress"]
    way.delay_s = 0.5
    assert {proxy.delay_s for proxy in way._proxies} == {0.5} and way.delay_s == 0.5
