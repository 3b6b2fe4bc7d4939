"""P8: nothing leaks. The whole way at debug level, with bad input and crashes, then everything it left is searched."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from confluent_kafka import Consumer, TopicPartition
from rocksdict import AccessType, Options, Rdict

from app import clock
from tests.support.cluster import event, prefix
from tests.support.commands import heliograph
from tests.support.engine_lab import until
from tests.support.leak_story import (
    ALONG,
    BEARER,
    CANARIES,
    KEY,
    MEDIA,
    NAMES,
    OTHER,
    PERSON,
    REPLY,
    STRANGER,
    TEXT,
    LeakStory,
    bad_events,
    odd_callbacks,
    telling,
)
from tests.support.leaks import Canary, Searcher
from tests.support.raising import CALL, DOOR, FOLD, WAY

# The topics that hold what others produced as they produced it: the shared one, and that of the tenant.
STATED = r"notify\.requests(\.default)?-\d+/"
# Where a team reads back what it named its requests by; `explain` opens it with the seal key.
READ_BACK = r"notify\.(outcomes|updates)(-\d+/|: (key|value)$)|^(outcomes|explain) command$"
KEPT = {"k1", "k2", "k3", "several", "spooled", *(f"mid-{n}" for n in range(30))}


class Told(NamedTuple):
    """What came of the story."""

    leaks: Searcher
    names: Searcher
    control: Searcher
    outcomes: dict[str, dict[str, Any]]
    letters: list[tuple[str, str]]
    answers: list[httpx.Response]
    logs: list[dict[str, Any]]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    path = tmp_path_factory.mktemp("leaks")
    leaks, names = Searcher(CANARIES), Searcher(NAMES)
    with telling(path) as story:
        outcomes = good_and_bad(story)
        named(story)
        answers = at_the_door(story)
        crashes(story, leaks, names)
        outcomes |= story.ended(*KEPT)
        # Once somebody is known by pseudonym, a searcher for it shows which places speak of people at all.
        control = Searcher(
            [Canary("person", outcomes["k1"]["message_id"].partition("-")[0]), Canary("text", "xq7-kanarie")]
        )
        letters = [(letter["field"], letter["rule"]) for letter in story.letters(0)]
        seen = list(from_outside(story))
    seen += rows(path / "stand")
    for searcher in (leaks, names):
        searcher.look_at_files(path, but=rf"{STATED}|keys\.json$")
    control.look_at_files(path)
    for place, data in seen:
        for searcher in (leaks, names, control):
            searcher.look(place, data)
    lines = [line for log in path.glob("stand/logs/*.log") for line in log.read_text().splitlines()]
    yield Told(leaks, names, control, outcomes, letters, answers, [json.loads(line) for line in lines])


def good_and_bad(story: LeakStory) -> dict[str, dict[str, Any]]:
    """What works, from topic and door, with what a person answers; between it what a producer gets wrong."""
    foreign = {"traceparent": STRANGER, "ce_source": STRANGER}
    story.produce(event(1, to=PERSON, body=TEXT, media=[MEDIA]), key=PERSON, headers=foreign)
    story.produce(*(bad for bad, *_ in bad_events()), key=TEXT)
    story.produce(event(3, to=[PERSON, "+1212"], body=TEXT, idempotency_key="several"))
    assert story.ask(event(2, to=PERSON, body=TEXT, media=[MEDIA])).status_code == 202
    named = [bad["idempotency_key"] for bad, *_, identified in bad_events() if identified]
    found = story.ended("k1", "k2", "several", *named)
    story.letters(len(list(bad_events())) + 1)
    assert [story.text(REPLY), story.text("STOP", OTHER), story.text(f"HELP {TEXT}")] == [200] * 3
    assert {story.signed(hook, **fields) for hook, fields in odd_callbacks()} == {200, 204}
    story.produce(event(3, to=OTHER, body=TEXT))
    return found | story.ended("k3")


def named(story: LeakStory) -> None:
    """What a team names its requests by, on every way: taken, refused, with another payload, parked, over HTTP."""
    asked = event(10, to=PERSON, body=TEXT, **ALONG, idempotency_key=KEY)
    many = [f"+1212555{n:04d}" for n in range(200, 221)]
    story.produce(asked, asked | {"body": "Other."}, asked | {"body": " ", "idempotency_key": f"{KEY}-bad"})
    story.produce(asked | {"to": many, "idempotency_key": f"{KEY}-many"})
    assert story.ask(asked | {"idempotency_key": f"{KEY}-http"}).status_code == 202
    story.ended(*(f"{KEY}{way}" for way in ("", "-bad", "-many", "-http")))


def at_the_door(story: LeakStory) -> list[httpx.Response]:
    """The same over HTTP, and two who are nobody."""
    asked = [story.ask(bad) for bad, *_ in bad_events()]
    return [*asked, story.ask(event(4, to=PERSON, body=TEXT), bearer=STRANGER), story.forged()]


def crashes(story: LeakStory, *searchers: Searcher) -> None:
    """Faults of ours that raise what they were given; kills in the middle; a broker that hangs."""
    worker, ingress = story.stand.parts["worker-1"], story.stand.parts["ingress"]
    story.produce(event(5, to=PERSON, body=FOLD + TEXT), event(6, to=PERSON, body=CALL + TEXT))
    until(lambda: "call.faulted" in worker.log.read_text())
    story.produce(event(9, to=PERSON, body=WAY + TEXT))
    assert story.ask(event(7, to=PERSON, body=DOOR + TEXT)).status_code == 500
    until(lambda: "call.unanswered" in worker.log.read_text())
    # A call that the kill cut off, or forestalled, ends at its deadline.
    soon = {"to": PERSON, "body": TEXT, "expires_at": clock.iso(clock.now_ms() + 8_000)}
    story.produce(*(event(n, **soon, idempotency_key=f"mid-{n}") for n in range(30)))
    story.ended("mid-0")
    worker.kill()
    with story.without_kafka():
        assert story.ask(event(8, to=PERSON, body=TEXT, **ALONG, idempotency_key="spooled")).status_code == 202
        assert story.text(REPLY) == 200
        ingress.kill()
        [spool] = story.spool()
        assert spool.stat().st_size > 500
        for searcher in searchers:
            searcher.look_at_files(spool.parent)
    ingress.restart()
    worker.restart()


def from_outside(story: LeakStory) -> Iterator[tuple[str, bytes]]:
    """Place and bytes: every topic, what commands and the API say, every process's metrics and first words, Twilio's
    callback URLs."""
    yield from records(story)
    told = story.ended(KEY)[KEY]["message_id"]
    for answer in until(lambda: known(story, told)):
        yield "states over HTTP", answer.content
    for words in (["outcomes"], ["outcomes", "--json"], ["explain", told], ["explain", told, "--json"]):
        done = heliograph(*words, **story.stand.env)
        assert done.returncode == 0, done.stderr
        yield f"{words[0]} command", f"{done.stdout}{done.stderr}".encode()
    done = heliograph("explain", told, **{**story.stand.env, "HELIOGRAPH_SEAL_KEYS": ""})
    assert "caller_fields=sealed" in done.stdout
    yield "explain command without a seal key", done.stdout.encode()
    parts = story.stand.parts.values()
    yield "first words", json.dumps([part.ready for part in parts]).encode()
    pages = {url for part in parts if (url := part.ready.get("internal") or part.ready.get("metrics"))}
    assert len(pages) == 4
    for page in sorted(pages):
        answer = story.http.get(page.removesuffix("/metrics") + "/metrics")
        assert answer.status_code == 200
        yield "metrics", answer.content
    creates = story.http.get(f"{story.stand.addresses()['simulator']}/_sim/creates").json()["creates"]
    yield "callback URLs", "\n".join(create["status_callback"] for create in creates).encode()


def known(story: LeakStory, message: str) -> list[httpx.Response]:
    """The API's answers about a message, by its id and by its key, once it has its outcome."""
    url, headers = f"{story.stand.addresses()['ingress']}/v1/messages", {"Authorization": f"Bearer {BEARER}"}
    found = [story.http.get(f"{url}{end}", headers=headers) for end in (f"/{message}", f"?idempotency_key={KEY}")]
    return found if found[0].status_code == 200 and found[0].json()["outcome"] else []


def records(story: LeakStory) -> Iterator[tuple[str, bytes]]:
    """Place and bytes of every key, header and value but the values and keys of what others produced."""
    consumer = Consumer({"bootstrap.servers": story.broker.address, "group.id": "leaks", "enable.partition.eof": True})
    named = consumer.list_topics(timeout=10).topics
    stated = {prefix(story.stand) + name for name in ("notify.requests", "notify.requests.default")}
    places = [
        TopicPartition(name, n, 0) for name, topic in named.items() for n in topic.partitions if name not in stated
    ]
    consumer.assign(places)
    ends = 0
    while ends < len(places):
        for record in consumer.consume(1000, 1.0):
            ends += record.error() is not None
            if record.error() is None:
                yield f"topic {record.topic()}: key", record.key() or b""
                yield f"topic {record.topic()}: value", record.value() or b""
                for name, value in record.headers() or ():
                    yield f"topic {record.topic()}: header", name.encode() + b"=" + (value or b"")
    consumer.close()


def rows(path: Path) -> Iterator[tuple[str, bytes]]:
    """RocksDB's rows as they are read: its files may hold them compressed."""
    for place in sorted(path.glob("worker-*/tables/**/*.db")):
        table = Rdict(str(place), Options(raw_mode=True), access_type=AccessType.read_only())
        yield from [(f"rows of {place.stem}", key + b"=" + value) for key, value in table.items()]
        table.close()


def test_p8_no_canary_is_anywhere_but_on_the_topic_that_others_write(told: Told) -> None:
    assert told.leaks.leaks == set()


def test_p8_what_a_caller_names_its_requests_by_is_nowhere_but_where_its_team_reads_it_back(told: Told) -> None:
    assert {leak for leak in told.names.leaks if not re.search(READ_BACK, leak.place)} == set()


@pytest.mark.parametrize(
    "place", ["notify.outcomes: value", "notify.updates: value", "outcomes command", "explain com"]
)
def test_the_team_and_an_operator_with_the_seal_key_read_it_back(told: Told, place: str) -> None:
    kinds = {leak.kind for leak in told.names.leaks if place in leak.place}
    assert (
        kinds
        == {
            "notify.outcomes: value": {"key", "campaign", "metadata"},
            "notify.updates: value": {"key", "id"},
            "outcomes command": {"key", "campaign", "metadata"},
            "explain com": {"key", "campaign", "metadata", "id"},
        }[place]
    )


def test_the_search_looked_at_every_place_that_speaks_of_people(told: Told) -> None:
    places = {leak.place for leak in told.control.leaks if leak.kind == "person"}
    looked_for = [
        *("contacts: value", "notify.outcomes: key", "notify.updates: header", "contacts-changelog: value"),
        *("callback URLs", "outcomes command", "explain command", "states over HTTP", "read-model.sqlite"),
        *("answers.journal", "/tables/", "rows of contacts-", "data/", "contacts-changelog-", "notify.outcomes-"),
    ]
    assert [word for word in looked_for if not any(word in place for place in places)] == []
    assert {place.partition(": ")[0] for place in places} <= {place.partition(": ")[0] for place in told.leaks.looked}


def test_the_search_finds_the_text_where_it_is_stated_to_be(told: Told) -> None:
    assert [leak for leak in told.control.leaks if leak.kind == "text" and re.search(STATED, leak.place)]


def test_the_faults_of_ours_were_told_by_type_and_place(told: Told) -> None:
    raised = [line for line in told.logs if "Planted" in json.dumps(line)]
    assert {line["event"] for line in raised} >= {
        "input.froze",
        "call.faulted",
        "call.unanswered",
        "Exception in ASGI application\n".strip(),
    }
    assert all("raising.py" in json.dumps(line) for line in raised if "frames" in line)


def test_p1_what_can_be_told_of_bad_input_is_told_and_the_log_moves_on(told: Told) -> None:
    for bad, field, rule, identified in bad_events():
        assert (field, rule) in told.letters
        if identified:
            outcome = told.outcomes[bad["idempotency_key"]]
            assert (outcome["outcome"], outcome["field"], outcome["rule"]) == ("rejected", field, rule)
    assert ("to[1]", "is not a possible phone number") in told.letters
    ended = {key: told.outcomes[key]["outcome"] for key in KEPT}
    assert {key: ended[key] for key in ("k1", "k2", "k3")} == {"k1": "delivered", "k2": "delivered", "k3": "suppressed"}
    assert ended["spooled"] == "delivered"


def test_bad_input_over_http_is_answered_with_its_field_and_rule(told: Told) -> None:
    wanted = [*((field, rule) for _, field, rule, _ in bad_events()), ("", ""), ("", "")]
    statuses = [400, 400, *[422] * 10, 413, 422, 422, 422, 401, 403]
    assert [answer.status_code for answer in told.answers] == statuses
    for answer, (field, rule) in zip(told.answers, wanted, strict=True):
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json().get("field", "") == field and (not rule or answer.json()["rule"])
