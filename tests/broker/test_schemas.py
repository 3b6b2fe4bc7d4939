"""Records that the pipeline really writes, each judged by its published schema: every type, every topic."""

import json
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.request import Request, urlopen

import pytest
from msgspec.structs import replace

from app.dev.dev_cluster import DevCluster
from app.domain.model.vocabulary import OutcomeWord
from app.records.topics import PER_TENANT, Topic, declared
from tests.support.cluster import by_file, event, produce, read, standing, whole
from tests.support.commands import heliograph
from tests.support.engine_lab import until
from tests.support.judged import KINDS, faults, header_faults

SHORT = {
    "HELIOGRAPH_OUTCOME_GRACE_S": "2",
    "HELIOGRAPH_DOUBT_AFTER_S": "4",
    "HELIOGRAPH_CLAIM_TTL_S": "1",
    "HELIOGRAPH_HTTP_TIMEOUT_S": "2",
    "HELIOGRAPH_LOOK_AFTER_S": "2",
    "HELIOGRAPH_INBOUND_LOOK_S": "2",
    "HELIOGRAPH_CHECKPOINT_AFTER_S": "3",
    "HELIOGRAPH_PROBE_AFTER_S": "1",
}
STOPPED = "+12125550109"
# The request topic of each tenant as that of tenant default.
TOPICS = [replace(t, name=t.name.replace(PER_TENANT, "default")) for t in declared() if t.types]


def person(n: int) -> str:
    return event(n)["to"]


ENDS = {person(2): "undelivered:30003", person(3): "failed:30008", person(6): "silent", person(8): "silent",
        person(14): "failed:30034"}  # fmt: skip


def ask(stand: DevCluster, path: str, body: dict[str, Any]) -> None:
    url = stand.addresses()["simulator"] + path
    urlopen(Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})).read()


def soon(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


@pytest.fixture(scope="module")
def stand(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevCluster]:
    path, mix = tmp_path_factory.mktemp("schemas"), ["--mix", '{"delivered": 1.0}']
    # As the stand has it, but that Twilio holds what is to be sent later.
    given = by_file(path, lane="schedule_at_twilio = true", extra=SHORT)
    with standing(kafka, path, simulator=mix, **given) as made:
        live(made)
        yield made


def live(stand: DevCluster) -> None:
    """One message for each outcome word, a text, a STOP, a conflict, a throttled and a doubtful call."""
    ask(stand, "/_sim/config", {"ends": ENDS})
    ask(stand, "/_sim/faults", {"throttle": 1, "calls": 1, "to": [person(1)]})
    ask(stand, "/_sim/inbound", {"from": STOPPED, "body": "STOP"})
    ask(stand, "/_sim/inbound", {"from": person(1), "body": "See you at 5?"})
    until(lambda: read(stand, "notify.consent"))
    produce(stand, event(1), event(2), event(3), event(9, campaign="c", metadata={"a": "b"}), event(5, body=""))
    produce(stand, event(4, expires_at=soon(-1)), event(6, expires_at=soon(5)), event(7, send_at=soon(2)), b"{broken")
    until(lambda: words(stand) >= {OutcomeWord.DELIVERED, OutcomeWord.UNDELIVERED, OutcomeWord.FAILED}, 60)
    ask(stand, "/_sim/faults", {"error_500": 1, "to": [person(8)]})
    produce(stand, event(8, expires_at=soon(5)), event(10, send_at=soon(600)), event(1, body="Other."))
    until(lambda: identified(stand, "k10"))
    known = identified(stand, "k10")
    for message in (known, known[:21] + "0" * 20):
        produce(stand, {"type": "notify.canceled.v1", "message_id": message})
    produce(stand, event(11, send_at=soon(3600)), event(15, to=[f"+1303555{n:04d}" for n in range(100, 121)]))
    until(lambda: held(stand) == "scheduled")
    ask(stand, "/_sim/inbound", {"from": person(11), "body": "STOP"})
    until(lambda: words(stand) == set(OutcomeWord) and identified(stand, "k15"), 60)
    until(lambda: held(stand) == "canceled")
    until(lambda: read(stand, "notify.metrics"))
    handled(stand)
    no_more_and_stopped(stand)
    slow = {"contact.listed.v1", "contact.checkpointed.v1"}
    until(lambda: {record["type"] for record in read(stand, "contacts")} >= slow)
    until(lambda: "lane.inbound_looked.v1" in {record["type"] for record in read(stand, "lanes")})


def held(stand: DevCluster) -> str:
    """Twilio's word for the text that it is to send in an hour."""
    message = identified(stand, "k11")
    mine = (one for one in read(stand, "contacts") if one["type"] == "contact.answered.v1")
    answered = next((one for one in mine if one["message_id"] == message), None)
    return status(stand, answered["sid"]) if answered else ""


def status(stand: DevCluster, sid: str) -> str:
    account, token = stand.env["TWILIO_ACCOUNT_SID"], stand.env["TWILIO_AUTH_TOKEN"]
    request = Request(f"{stand.addresses()['simulator']}/2010-04-01/Accounts/{account}/Messages/{sid}.json")
    token = b64encode(f"{account}:{token}".encode()).decode()
    request.add_header("Authorization", f"Basic {token}")
    return str(json.loads(urlopen(request).read())["status"])


def no_more_and_stopped(stand: DevCluster) -> None:
    """A number that Twilio knows to be none; a text that fails by configuration, and one that probes the lane."""
    produce(stand, event(13, to="+15005550001"))
    until(lambda: "notify.number_changed.v1" in kinds(stand, "notify.updates"))
    produce(stand, event(14))
    until(lambda: "lane.slowed.v1" in {r["type"] for r in read(stand, "lanes") if r.get("error") == "configuration"})
    produce(stand, event(12))
    until(lambda: "lane.proved.v1" in kinds(stand, "lanes"))


def kinds(stand: DevCluster, topic: str) -> set[str]:
    return {record["type"] for record in read(stand, topic)}


def handled(stand: DevCluster) -> None:
    """One letter is opened and dropped."""
    listed = heliograph("deadletters", "list", "--json", **stand.env).stdout.splitlines()
    letter = json.loads(listed[0])["id"]
    for words in (("show", letter, "--reveal"), ("drop", letter)):
        assert heliograph("deadletters", *words, "--by", "ada", **stand.env).returncode == 0
    sid = next(record["sid"] for record in read(stand, "contacts") if record["type"] == "contact.texted.v1")
    assert heliograph("inbound", "show", sid, "--reveal", "--by", "ada", **stand.env).returncode == 0
    assert heliograph("explain", identified(stand, "k1"), "--reveal", **stand.env).returncode == 0
    assert heliograph("twilio", "messages", "list", "--reveal", **stand.env).returncode == 0


def words(stand: DevCluster) -> set[str]:
    return {told["outcome"] for told in read(stand, "notify.outcomes")}


def identified(stand: DevCluster, key: str) -> str:
    asked = (record for record in read(stand, "notify.updates") if record.get("idempotency_key") == key)
    return next((record["message_id"] for record in asked), "")


def parsed(stand: DevCluster, topic: Topic) -> list[tuple[dict[str, Any], dict[str, bytes]]]:
    records = whole(stand, topic.name)
    return [(json.loads(value), headers) for _, value, headers in records if value and value != b"{broken"]


def test_the_pipeline_wrote_a_record_of_every_type_that_is_published(stand: DevCluster) -> None:
    # Written where a record ends the worker again and again: see test_set_aside.py.
    kinds = [kind for kind in KINDS if kind != "contact.set_aside.v1"]
    assert sorted({record["type"] for topic in TOPICS for record, _ in parsed(stand, topic)}) == kinds


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_every_record_of_a_topic_is_of_its_types_and_holds_what_its_schema_says_and_no_more(
    stand: DevCluster, topic: Topic
) -> None:
    for record, headers in parsed(stand, topic):
        assert record["type"] in topic.types
        refused = topic.name.startswith("notify.requests") and not record.get("body", "x")
        assert bool(faults(record)) == refused, (record["type"], faults(record))
        assert header_faults(record, headers) == [], record["type"]


def test_p3_a_text_that_twilio_held_was_canceled_there_when_its_person_said_stop(stand: DevCluster) -> None:
    message = identified(stand, "k11")
    until(lambda: any(told["message_id"] == message for told in read(stand, "notify.outcomes")))
    [outcome] = [told for told in read(stand, "notify.outcomes") if told["message_id"] == message]
    assert (outcome["outcome"], outcome["reason"]) == ("suppressed", "opted_out")
    assert held(stand) == "canceled"


def test_the_keys_are_what_the_topics_say(stand: DevCluster) -> None:
    for topic in TOPICS:
        for key, value, _ in whole(stand, topic.name):
            record = json.loads(value or b"{}") if value != b"{broken" else {}
            if topic.name == "notify.updates":
                named = "request_id" if record.get("event") == "conflicted" else "message_id"
                assert (key or b"").decode() == record["contact_id" if "contact_id" in record else named]
            elif topic.key in ("message_id", "tenant"):
                assert (key or b"").decode() == record[topic.key]
            elif topic.key == "contact_id":
                named = record.get("contact_id") or record.get("message_id", "").partition("-")[0]
                assert not named or (key or b"").decode() == named
            elif topic.name == "notify.deadletters":
                assert (key or b"").decode() == record["source"]
