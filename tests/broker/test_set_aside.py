"""The real worker and a record that ends it each time: who is touched by it, what is said of it, and the way back."""

import json

from confluent_kafka import Consumer, TopicPartition

from app.dev.dev_cluster import DevCluster
from tests.support.cluster import event, prefix, produce, read, standing
from tests.support.commands import heliograph
from tests.support.contact_log import message_of
from tests.support.engine_lab import until
from tests.support.judged import faults

DEADLY = "deadly-key"
PERSON, OTHERS = 5, range(10, 20)


def test_a_record_that_ends_the_worker_is_set_aside_concerns_its_contact_alone_and_can_be_retried(kafka, tmp_path):
    plant = tmp_path / "plant"
    given = {"extra": {"DEADLY": str(plant)}, "program": ("-m", "tests.support.deadly")}
    with standing(kafka, tmp_path, **given, simulator=["--mix", '{"delivered": 1.0}']) as stand:
        plant.write_text(f'"message_id":"{message_of(stand, event(PERSON)["to"], DEADLY)}"')
        produce(stand, event(PERSON, idempotency_key="before"), *(event(n) for n in OTHERS))
        until(lambda: set(outcomes(stand)) == {"before", *(f"k{n}" for n in OTHERS)})
        produce(stand, {**event(PERSON), "idempotency_key": DEADLY}, event(PERSON, idempotency_key="after"), event(30))
        until(lambda: not stand.revive() and "k30" in outcomes(stand) and letters(stand) and caught_up(stand), 90)
        assert letters(stand) == {"set aside: ended the process 3 times"}
        assert "after" not in outcomes(stand)
        skipped = [record for record in read(stand, "contacts") if record["type"] == "contact.set_aside.v1"]
        assert all(faults(record) == [] for record in skipped)
        assert {str(record["offset"]) for record in skipped} == {source.rpartition("-")[2] for source in sources(stand)}
        assert proved(stand)
        plant.unlink()
        for letter in listed(stand):
            done = heliograph("deadletters", "retry", letter["id"], "--yes", "--by", "ada", **stand.env)
            assert done.returncode == 0, done.stderr
        until(lambda: {DEADLY, "after"} <= set(outcomes(stand)))
        assert outcomes(stand)[DEADLY] == outcomes(stand)["after"] == "delivered"
        assert proved(stand)


def letters(stand: DevCluster) -> set[str]:
    return {letter["rule"] for letter in read(stand, "notify.deadletters")}


def sources(stand: DevCluster) -> set[str]:
    return {letter["source"] for letter in read(stand, "notify.deadletters")}


def caught_up(stand: DevCluster) -> bool:
    """Whether all of the contact log is committed."""
    group, topic = prefix(stand) + "heliograph", prefix(stand) + "contacts"
    consumer = Consumer({"bootstrap.servers": stand.env["KAFKA_BOOTSTRAP_SERVERS"], "group.id": group})
    places = consumer.committed([TopicPartition(topic, number) for number in range(8)], timeout=10)
    ends = [consumer.get_watermark_offsets(place, timeout=10)[1] for place in places]
    consumer.close()
    return all(max(0, place.offset) == end for place, end in zip(places, ends, strict=True))


def outcomes(stand: DevCluster) -> dict[str, str]:
    return {outcome["idempotency_key"]: outcome["outcome"] for outcome in read(stand, "notify.outcomes")}


def listed(stand: DevCluster) -> list[dict[str, str]]:
    done = heliograph("deadletters", "list", "--json", **stand.env)
    return [json.loads(line) for line in done.stdout.splitlines()]


def proved(stand: DevCluster) -> bool:
    done = heliograph("replay", "--verify", "--json", **stand.env)
    assert done.returncode == 0, done.stdout
    return bool(done.stdout)
