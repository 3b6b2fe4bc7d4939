"""The read model on a real broker: a writer that is killed, a rebuild, and the whole way from a POST to a GET."""

import json
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest
import sqlalchemy as sa
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from app.dev.dev_cluster import DevCluster
from app.dev.process import ChildProcess
from app.read_model.state import MessageState, after_outcome, after_update, key_hash
from app.read_model.store import Store, StoredPartition, state_of
from app.read_model.tables import database_url, messages, offsets, open_engine, read_models
from app.records.outcomes import NotifyOutcome
from app.records.topics import Topics
from app.records.updates import NotifyUpdated
from tests.support.cluster import event, produce, read, standing, whole
from tests.support.commands import KEYS, faults, heliograph
from tests.support.engine_lab import until
from tests.support.projected import KEY, SID, outcome, update

PARTITIONS = 2


class Site:
    """Topics of its own with what workers would have written, and a writer on one database."""

    def __init__(self, servers: str, path: Path, url: str) -> None:
        self.prefix = f"r{uuid.uuid4().hex[:8]}."
        self.topics, config = Topics(self.prefix, self.prefix + "heliograph"), {"bootstrap.servers": servers}
        names = (self.topics.updates, self.topics.outcomes)
        admin = AdminClient(config)  # kept: its futures end with it
        for future in admin.create_topics([NewTopic(name, PARTITIONS, 1) for name in names]).values():
            future.result()
        self.env = {
            "PATH": "/usr/bin:/bin",
            "KAFKA_BOOTSTRAP_SERVERS": servers,
            "HELIOGRAPH_TOPIC_PREFIX": self.prefix,
            "HELIOGRAPH_READ_MODEL_DIR": str(path),
            "HELIOGRAPH_DATABASE_URL": url,
            **KEYS,
        }
        self.engine = open_engine(database_url(url, path))
        self.part = ChildProcess("read-model", ["read-model", "run", "--port", "0"], self.env, path / "read-model.log")
        self._producer, self.sent, self.expected = (
            Producer(config),
            Counter[StoredPartition](),
            dict[str, MessageState](),
        )

    def write(self, topic: str, record: NotifyUpdated | NotifyOutcome | bytes, partition: int = 0) -> None:
        raw = record if isinstance(record, bytes) else msgspec.json.encode(record)
        self._producer.produce(topic, raw, partition=partition)
        self.sent[StoredPartition(topic, partition)] += 1

    def write_lives(self, count: int, first: int) -> None:
        """Messages from opened to outcome, ten records each; a producer that died repeats the last two."""
        for n in range(first, first + count):
            message, partition, at = f"{n:020x}-{n:020x}", n % PARTITIONS, 10 * n
            way = [
                update(at, "opened", "waiting"),
                update(at + 1, "claimed", attempt=1),
                update(at + 2, "taken", "", 1, SID),
            ]
            way += [update(at + 3, "progressed", "sent", 1, SID), update(at + 4, "progressed", "delivered", 1, SID)]
            own = [msgspec.structs.replace(one, message_id=message) for one in (*way, *way[-2:])]
            ends = [
                outcome(1, "undelivered", message),
                outcome(2, "delivered", message),
                outcome(1, "undelivered", message),
            ]
            for one in own:
                self.write(self.topics.updates, one, partition)
            for one in ends:
                self.write(self.topics.outcomes, one, partition)
            self.expected[message] = folded(message, *own, *ends)
        assert self._producer.flush(30) == 0

    def projected(self, generation: int = 1) -> int:
        """Records behind the offsets of the database."""
        query = sa.select(sa.func.sum(offsets.c.next_offset)).where(offsets.c.generation == generation)
        if not sa.inspect(self.engine).has_table(offsets.name):
            return 0
        with self.engine.connect() as connection:
            return int(connection.execute(query).scalar() or 0)

    def rows(self, generation: int = 1) -> dict[str, MessageState]:
        with self.engine.connect() as connection:
            found = connection.execute(sa.select(messages).where(messages.c.generation == generation))
            return {row.message_id: timeless(state_of(row)) for row in found}

    def close(self) -> None:
        self.part.kill()
        self.engine.dispose()


def folded(message: str, *records: NotifyUpdated | NotifyOutcome) -> MessageState:
    state = MessageState(message_id=message, tenant="acme")
    for record in records:
        if isinstance(record, NotifyUpdated):
            state = after_update(state, record, "", 0)
        else:
            state = after_outcome(state, record, key_hash(KEY, "acme", record.idempotency_key), 0)
    return timeless(state)


def timeless(state: MessageState) -> MessageState:
    """Without the log time of the outcome, which only the broker knows."""
    return msgspec.structs.replace(state, changed_ms=0)


@pytest.fixture(params=["sqlite", "postgresql"])
def site(request: pytest.FixtureRequest, kafka: str, tmp_path: Path) -> Iterator[Site]:
    postgresql = request.param == "postgresql"
    url = request.getfixturevalue("postgres").url(f"b{uuid.uuid4().hex[:8]}") if postgresql else ""
    made = Site(kafka, tmp_path, url)
    yield made
    made.close()


def test_a_writer_that_is_killed_in_the_middle_loses_and_doubles_nothing_and_a_rebuild_is_equal(site: Site) -> None:
    cut = []
    for start in (0, 400, 800):
        site.write_lives(400, start)
        before = site.projected()
        site.part.start()
        until(lambda before=before: site.projected() > before)
        site.part.kill()
        cut.append(0 < site.projected() < site.sent.total())
    assert any(cut), "no kill fell in the middle"
    site.write(site.topics.updates, b"{broken")
    site.write_lives(1, 1200)
    site.part.restart()
    until(lambda: site.projected() == site.sent.total(), 60)
    assert Store(site.engine, 1).next_offsets() == site.sent
    found = site.rows()
    assert {name: (state, found.get(name)) for name, state in site.expected.items() if found.get(name) != state} == {}
    assert found.keys() == site.expected.keys()

    done = heliograph("read-model", "rebuild", "--json", **site.env)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["records"] == site.sent.total() and told["since"].startswith("20")
    assert (site.rows(2), site.projected(2)) == (site.expected, site.sent.total())
    site.write_lives(1, 1300)
    until(lambda: site.rows(2) == site.expected, 20)  # the writer went over to it
    with site.engine.connect() as connection:
        assert connection.execute(sa.select(read_models.c.generation)).scalar_one() == 2


def test_tables_of_another_schema_are_refused_with_one_line(site: Site) -> None:
    site.part.start()
    site.part.wait()
    site.part.stop()
    with site.engine.begin() as connection:
        connection.execute(read_models.update().values(schema_version=7))
    for words in (("run", "--port", "0"), ("rebuild",)):
        done = heliograph("read-model", *words, **site.env)
        [fault] = faults(done)
        assert done.returncode == 78 and "schema version 7, this build knows 1: drop its tables" in fault


def test_without_its_database_the_writer_says_so_without_the_url_and_ends_to_be_started_again(
    kafka: str, tmp_path: Path
) -> None:
    secret = "postgresql://heliograph:hunter2-secret@127.0.0.1:1/heliograph"
    env = {"KAFKA_BOOTSTRAP_SERVERS": kafka, "HELIOGRAPH_DATABASE_URL": secret, **KEYS}
    done = heliograph("read-model", "run", "--port", "0", **env)
    assert (done.returncode, faults(done)) == (70, ["the database of the read model cannot be used (OperationalError)"])
    assert "hunter2" not in done.stdout + done.stderr
    assert "hunter2" not in heliograph("config", "show", **env).stdout


@pytest.fixture(scope="module")
def stand(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevCluster]:
    path, mix = tmp_path_factory.mktemp("read-model"), ["--mix", '{"delivered": 1.0}']
    with standing(kafka, path, simulator=mix, read_model=True) as made:
        yield made


def ask(stand: DevCluster, method: str, path: str, **given: object) -> httpx.Response:
    headers = {"Authorization": f"Bearer {stand.api_key}", **given.pop("headers", {})}  # type: ignore[dict-item]
    return httpx.request(method, stand.addresses()["ingress"] + path, headers=headers, timeout=20, **given)  # type: ignore[arg-type]


def test_what_was_asked_for_over_http_is_read_over_http_and_a_repeat_and_a_conflict_send_nothing(
    stand: DevCluster,
) -> None:
    request = {"to": "+12125550101", "body": "Build 742 deployed."}
    key = {"Idempotency-Key": "k 742"}
    taken = ask(stand, "POST", "/v1/messages", json=request, headers=key)
    [message] = taken.json()["message_ids"]
    shown = until(
        lambda: (a := ask(stand, "GET", f"/v1/messages/{message}")).status_code == 200 and a.json()["outcome"] and a
    )
    state, [told] = shown.json(), [one for one in read(stand, "notify.outcomes") if one["message_id"] == message]
    assert (state["status"], state["outcome"]["revision"]) == ("delivered", told["revision"])
    assert state["message_sid"] == told["attempts"][0]["message_sid"] and state["times"] == told["times"]
    found = ask(stand, "GET", "/v1/messages", params={"idempotency_key": "k 742"}).json()["messages"]
    repeated = ask(stand, "POST", "/v1/messages", json=request, headers=key)
    other = ask(stand, "POST", "/v1/messages", json={**request, "body": "Another."}, headers=key)
    assert (taken.status_code, repeated.status_code, other.status_code) == (202, 200, 409)
    assert found == repeated.json()["messages"] == [state]
    assert len(read(stand, "notify.requests.default")) == 1


def test_send_wait_says_conflict_and_not_what_became_of_the_message_before(stand: DevCluster) -> None:
    words = ["send", "--to", "+12125550102", "--key", "k2", "--wait", "--timeout", "40", "--json"]
    told = [heliograph(*words, "--body", body, **stand.env) for body in ("First.", "Another.", "First.")]
    assert [done.returncode for done in told] == [0, 1, 0], [done.stderr for done in told]
    first, other, again = (json.loads(done.stdout) for done in told)
    assert [first["outcome"], other["outcome"], again["outcome"]] == ["delivered", "conflict", "delivered"]
    assert first["message_id"] == other["message_id"] == again["message_id"]
    keyed = [key for key, value, _ in whole(stand, "notify.updates") if b'"conflicted"' in (value or b"")]
    assert keyed == [other["request_id"].encode()]


def test_without_its_database_a_stand_takes_and_delivers_all_the_same(stand: DevCluster) -> None:
    stand.parts["read-model"].kill()
    for file in (Path(stand.env["HELIOGRAPH_READ_MODEL_DIR"])).glob("read-model.sqlite*"):
        file.unlink()
    until(lambda: "read model" in httpx.get(stand.addresses()["internal"] + "/readyz").text, 40)
    answer = ask(
        stand, "POST", "/v1/messages", json={"to": "+12125550103", "body": "On."}, headers={"Idempotency-Key": "k3"}
    )
    assert answer.status_code == 202 and "the read model" in answer.headers["heliograph-warning"]
    produce(stand, event(4))
    until(lambda: {"k3", "k4"} <= {one["idempotency_key"] for one in read(stand, "notify.outcomes")})
    stand.parts["read-model"].restart()
    [message] = answer.json()["message_ids"]
    until(lambda: ask(stand, "GET", f"/v1/messages/{message}").status_code == 200, 40)
