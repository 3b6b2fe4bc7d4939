"""Dead letters on a real broker: listed, shown, opened, produced again without sending twice, dropped."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from confluent_kafka import Producer

from app import clock
from app.config.settings import Settings
from app.dev.dev_cluster import DevCluster
from app.domain.content.surrogates import WARNING
from app.records.dead_letters import RETRY_OF, LostRecord, dead_letter
from app.records.envelope import Headers
from app.records.seal import Sealer
from tests.support.cluster import event, prefix, produce, read, records, standing
from tests.support.engine_lab import until

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def stand(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevCluster]:
    path = tmp_path_factory.mktemp("deadletters")
    with standing(kafka, path, simulator=["--mix", '{"delivered": 1.0}']) as made:
        yield made


def test_letters_are_listed_newest_first_by_field_and_topic(stand):
    produce(stand, event(1, tenant="nobody"))
    until(lambda: len(listed(stand)) == 1)
    produce(stand, b"{broken +12125550101")
    until(lambda: len(listed(stand)) == 2)
    assert [(row["field"], row["handled"]) for row in listed(stand)] == [("value", None), ("tenant", None)]
    assert [row["field"] for row in listed(stand, "--field", "tenant")] == ["tenant"]
    assert len(listed(stand, "--topic", "notify.requests", "--since", "1h")) == 2
    assert listed(stand, "--topic", "contacts") == []
    said = run(stand, "list").stdout
    assert "tenant: is not known" in said and "2125550101" not in said


def test_p8_a_letter_is_opened_only_on_demand_and_that_it_was_is_kept(stand):
    letter = listed(stand, "--field", "value")[0]["id"]
    assert "2125550101" not in run(stand, "show", letter).stdout
    opened = run(stand, "show", letter, "--reveal", "--by", "ada", "--json")
    assert json.loads(opened.stdout)["value"] == "{broken +12125550101"
    assert "was opened by ada" in opened.stderr and "2125550101" not in opened.stderr
    assert [entry["by"] for entry in json.loads(run(stand, "show", letter, "--json").stdout)["opened"]] == ["ada"]
    stranger = run(stand, "show", letter, "--reveal", HELIOGRAPH_SEAL_KEYS="k9:" + "99" * 32)
    assert stranger.returncode == 1 and "sealed by a key that is not in HELIOGRAPH_SEAL_KEYS" in stranger.stderr
    assert run(stand, "show", letter, "--reveal", HELIOGRAPH_SEAL_KEYS="").returncode == 2


def test_p2_a_request_without_a_key_is_produced_again_and_sent_once(stand):
    letter = by_hand(stand, {"type": "notify.requested.v1", "to": "+12125550102", "body": "Again."})
    done = run(stand, "retry", letter, "--yes", "--by", "ada")
    assert done.returncode == 0, done.stderr
    until(lambda: sent(stand, "Again.") == 1)
    again = next(r for r in records(stand, "notify.requests") if b'"Again."' in r.value())
    assert (again.key(), again.partition()) == (b"a key", 2)
    assert dict(again.headers()) == {"x": b"1", RETRY_OF: f"{prefix(stand)}notify.requests-2-7777".encode()}
    # As after a crash between the record and its mark: the very record once more, and a fence behind it.
    plain(stand, "notify.requests", again.key(), again.value(), again.headers(), again.partition())
    plain(stand, "notify.requests", again.key(), json.dumps(event(3)).encode(), [], again.partition())
    until(lambda: sent(stand, "Build 3.") == 1)
    until(lambda: len(read(stand, "notify.outcomes")) == 2)
    assert sent(stand, "Again.") == 1


def test_a_letter_is_retried_once_and_hidden_from_then_on(stand):
    row = next(row for row in listed(stand, "--all") if row["handled"])
    assert (row["handled"]["how"], row["handled"]["by"]) == ("retried", "ada")
    assert row["id"] not in [left["id"] for left in listed(stand)]
    refused = run(stand, "retry", row["id"], "--yes")
    assert refused.returncode == 1 and "was retried by ada" in refused.stderr


def test_a_dropped_letter_is_hidden_and_still_there(stand):
    letter = listed(stand, "--field", "value")[0]["id"]
    assert run(stand, "drop", letter, "--by", "bob").returncode == 0
    assert letter not in [row["id"] for row in listed(stand)]
    kept = next(row for row in listed(stand, "--all") if row["id"] == letter)
    assert (kept["handled"]["how"], kept["handled"]["by"]) == ("dropped", "bob")
    mark = next(r for r in records(stand, "notify.deadletters") if b'"bob"' in r.value())
    its = next(r for r in records(stand, "notify.deadletters") if f"{r.partition()}-{r.offset()}" == letter)
    assert (mark.key(), mark.partition()) == (its.key(), its.partition())


def test_nothing_is_produced_unless_every_letter_is_fit_and_somebody_said_yes(stand):
    letter, before = listed(stand, "--field", "tenant")[0]["id"], len(records(stand, "notify.requests"))
    missing = run(stand, "retry", letter, "0-999999", "--yes")
    assert missing.returncode == 1 and "0-999999: is no letter" in missing.stderr
    assert run(stand, "retry", letter).returncode == 1
    assert run(stand, "retry", "+12125550100").returncode == 2
    doors = by_hand(stand, {"form": {}}, LostRecord("ingress", "0" * 32, None, b"{}", clock.now_ms()))
    assert "came from no topic of ours" in run(stand, "retry", doors, "--yes").stderr
    assert len(records(stand, "notify.requests")) == before


def test_p4_a_refused_record_with_null_headers_and_no_value_is_kept_and_produced_again_as_it_was(stand):
    given = [("x", None), ("twice", b"1"), ("twice", None), ("y", b"\xff")]
    plain(stand, "notify.requests", None, None, given, 4)
    plain(stand, "notify.requests", b"a key", b"\0\0\0\0\1" + json.dumps(event(7, priority="soon")).encode(), given, 4)
    until(lambda: {row["rule"] for row in at(stand, 4)} == {"must not be empty", "is not one of the known values"})
    empty = next(row for row in at(stand, 4) if row["rule"] == "must not be empty")
    opened = json.loads(run(stand, "show", empty["id"], "--reveal", "--json").stdout)
    assert (opened["key"], opened["value"], opened["cut"]) == (None, None, False)
    assert opened["headers"] == [["x", None], ["twice", "1"], ["twice", None], ["y", "base64:/w=="]]
    assert run(stand, "retry", empty["id"], "--yes").returncode == 0
    again = next(
        r for r in records(stand, "notify.requests") if (RETRY_OF, empty["source"].encode()) in (r.headers() or ())
    )
    assert (again.key(), again.value(), again.partition()) == (None, None, 4)
    assert again.headers() == [*given, (RETRY_OF, empty["source"].encode())]


def test_what_other_serializers_write_is_texted_and_what_was_replaced_is_said(stand):
    plain(stand, "notify.requests", None, b"\0\0\0\0\1" + json.dumps(event(8)).encode(), [("ce_specversion", None)], 4)
    plain(stand, "notify.requests", None, b"\xef\xbb\xbf" + json.dumps(event(9, body="Half \ud83d.")).encode(), [], 4)
    until(lambda: sent(stand, "Build 8.") == sent(stand, "Half \ufffd.") == 1)
    assert [u["warnings"] for u in read(stand, "notify.updates") if u.get("warnings")] == [[WARNING]]


def test_what_cannot_be_produced_again_is_said_and_the_longest_letter_is_taken(stand):
    topic = prefix(stand) + "notify.requests"
    odd = by_hand(
        stand, {}, LostRecord(topic, "4-8001", None, b"{}", clock.now_ms(), [("\udcff\udcfe", b"1"), ("x", b"2")])
    )
    done = run(stand, "retry", odd, "--yes")
    assert done.returncode == 0 and f"{odd}: header \\xff\\xfe is left out" in done.stderr
    long = by_hand(stand, {}, LostRecord(topic, "4-8002", b"k", os.urandom(5_000_000), clock.now_ms(), [("x", b"2")]))
    assert "(5000000 bytes, cut)" in run(stand, "list").stdout
    refused = run(stand, "retry", long, "--yes")
    assert refused.returncode == 1 and "its record (5000000 bytes of value) was too long for a letter" in refused.stderr


def at(stand: DevCluster, partition: int) -> list[dict[str, Any]]:
    """Letters about records of one partition of `notify.requests`."""
    return [row for row in listed(stand) if row["source"].startswith(f"{prefix(stand)}notify.requests-{partition}-")]


def by_hand(stand: DevCluster, value: dict[str, Any], lost: LostRecord | None = None) -> str:
    """A letter about a record that is good by now, as an earlier build or setting may have refused it."""
    topic, raw = prefix(stand) + "notify.requests", json.dumps(value).encode()
    lost = lost or LostRecord(topic, "2-7777", b"a key", raw, clock.now_ms(), [("x", b"1")])
    source = f"{lost.topic}-{lost.place}"
    sealer = Sealer(Settings.read(stand.env).seal_keys)
    plain(stand, "notify.deadletters", source.encode(), dead_letter(sealer, lost, "body", "was refused then")[0], [], 2)
    return next(row["id"] for row in listed(stand) if row["source"] == source)


def plain(
    stand: DevCluster, topic: str, key: bytes | None, value: bytes | None, headers: Headers, partition: int
) -> None:
    producer = Producer({"bootstrap.servers": stand.env["KAFKA_BOOTSTRAP_SERVERS"], "message.max.bytes": 5_000_000})
    producer.produce(prefix(stand) + topic, key=key, value=value, headers=headers, partition=partition)
    assert producer.flush(20) == 0


def sent(stand: DevCluster, body: str) -> int:
    creates = json.loads(urlopen(stand.addresses()["simulator"] + "/_sim/creates").read())["creates"]
    return sum(create["body"] == body for create in creates)


def listed(stand: DevCluster, *words: str) -> list[dict[str, Any]]:
    done = run(stand, "list", "--json", *words)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def run(stand: DevCluster, *words: str, **env: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "app", "deadletters", *words]
    given = {"env": {**stand.env, **env}, "stdin": subprocess.DEVNULL}
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, **given)
