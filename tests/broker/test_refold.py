"""The way back that the runbook of exit 78 tells: a lost changelog is folded again from the log, and nobody is sent to."""

import asyncio
import json
import shutil
from urllib.request import Request, urlopen

from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient

from app.dev.dev_cluster import DevCluster, apply_topics
from tests.support.cluster import event, prefix, produce, read, standing
from tests.support.commands import heliograph
from tests.support.engine_lab import until

SETTINGS = {"HELIOGRAPH_CLAIM_TTL_S": "1", "HELIOGRAPH_HTTP_TIMEOUT_S": "2", "HELIOGRAPH_SESSION_TIMEOUT_S": "4"}
PERSON = "+12125550101"  # of event 1


def test_p3_p6_a_lost_changelog_is_folded_again_from_the_log(kafka, tmp_path):
    with standing(kafka, tmp_path, extra=SETTINGS, simulator=["--mix", '{"delivered": 1.0}']) as stand:
        worker = stand.parts["worker-1"]
        produce(stand, *(event(n) for n in range(1, 31)))
        until(lambda: outcomes(stand) == 30)
        ask(stand, "inbound", {"from": PERSON, "body": "STOP"})
        until(lambda: read(stand, "notify.consent"))
        worker.stop()
        lose(stand, "heliograph-contacts-changelog")
        shutil.rmtree(stand.plan.directory / "worker-1" / "tables")
        worker.start()
        until(lambda: worker.dead() is not None)
        assert worker.dead() == 78 and "changelog was re-created" in worker.log.read_text()
        fold_again(stand)
        worker.start()
        worker.wait()
        produce(stand, event(1, idempotency_key="after", body="After STOP."), event(99, body="Another."))
        until(lambda: outcomes(stand) == 32, 60)
        bodies = [create["body"] for create in ask(stand, "creates")["creates"]]
        assert len(bodies) == len(set(bodies)) == 31 and "After STOP." not in bodies
        verified = heliograph("replay", "--verify", "--json", **stand.env)
    assert verified.returncode == 0, verified.stdout


def outcomes(stand: DevCluster) -> int:
    return len({outcome["message_id"] for outcome in read(stand, "notify.outcomes")})


def lose(stand: DevCluster, name: str) -> None:
    admin = AdminClient({"bootstrap.servers": stand.env["KAFKA_BOOTSTRAP_SERVERS"]})
    for future in admin.delete_topics([prefix(stand) + name]).values():
        future.result()
    until(lambda: prefix(stand) + name not in admin.list_topics(timeout=5).topics)
    asyncio.run(apply_topics(stand.env))


def fold_again(stand: DevCluster) -> None:
    """As `kafka-consumer-groups.sh --reset-offsets --to-earliest` does, once the group has no members."""
    admin = AdminClient({"bootstrap.servers": stand.env["KAFKA_BOOTSTRAP_SERVERS"]})
    group = prefix(stand) + "heliograph"
    until(lambda: not admin.describe_consumer_groups([group])[group].result().members, 60)
    places = [TopicPartition(prefix(stand) + "contacts", number, 0) for number in range(8)]
    for future in admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, places)]).values():
        future.result()


def ask(stand: DevCluster, path: str, given: dict | None = None) -> dict:
    data = None if given is None else json.dumps(given).encode()
    url = stand.addresses()["simulator"] + f"/_sim/{path}"
    return json.loads(urlopen(Request(url, data, {"Content-Type": "application/json"})).read())
