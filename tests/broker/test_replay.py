"""P6 on a real broker: what the log folds to is what the tables hold, and a row that was touched is found out."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from app import clock
from app.dev.dev_cluster import DevCluster
from tests.support.cluster import event, produce, raw, read, records, standing
from tests.support.contact_log import contact_of, rejected, tampered, write, write_raw
from tests.support.engine_lab import until

ROOT = Path(__file__).parents[2]
CHANGELOG, MESSAGES = "heliograph-contacts-changelog", "heliograph-messages-changelog"
MIX = '{"delivered": 0.5, "failed:30017": 0.3, "undelivered:30005": 0.2}'
STOPPED, SENT = "+12125550105", "+12125550106"


@pytest.fixture(scope="module")
def stand(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevCluster]:
    """A run with reports, retries, a STOP, messages that ended as they were opened (three that were refused, one to the
    person who said STOP), and a worker killed in the middle."""
    extra = {"HELIOGRAPH_OUTCOME_GRACE_S": "3", "HELIOGRAPH_DOUBT_AFTER_S": "4", "HELIOGRAPH_CLAIM_TTL_S": "1",
             "HELIOGRAPH_HTTP_TIMEOUT_S": "2", "HELIOGRAPH_SESSION_TIMEOUT_S": "4"}  # fmt: skip
    path = tmp_path_factory.mktemp("replay")
    with standing(kafka, path, extra=extra, simulator=["--mix", MIX]) as made:
        simulator(made, "faults", throttle=0.3)
        text(made, STOPPED, "STOP")
        produce(made, *(event(n, body=f"Once {n}.", expires_at=in_seconds(25)) for n in range(40)))
        write(made, KEPT, *(rejected(made, KEPT, f"by-hand-{n}") for n in range(3)))
        until(lambda: len(read(made, "notify.outcomes")) > 5)
        made.parts["worker-1"].kill()
        made.parts["worker-1"].restart()
        until(lambda: len({o["message_id"] for o in read(made, "notify.outcomes")}) >= 43, 90)
        until(lambda: len(live(made, MESSAGES)) == 43)
        yield made


KEPT = "a" * 20


def test_p6_the_live_rows_are_what_the_log_folds_to(stand):
    done, told = verify(stand)
    assert done.returncode == 0, done.stdout
    assert told["compared"]["messages"] == 43 and told["compared"]["contacts"] >= 41
    assert (told["different"], told["not_provable"]) == (0, {"contacts": 0, "messages": 0})
    assert any(u.get("event") == "stage" and u["state"] == "retrying" for u in read(stand, "notify.updates"))


def test_p6_it_holds_while_the_worker_folds(stand):
    for wave in range(3):
        produce(stand, *(event(n, idempotency_key=f"w{wave}-{n}", body="More.") for n in range(40, 70)))
        done, told = verify(stand)
        assert done.returncode == 0, done.stdout
        assert told["compared"]["contacts"] >= 41


def test_one_contact_is_shown_masked_with_its_consent_and_the_evidence(stand):
    contact = contact_of(stand, STOPPED)
    lines = replay(stand, "--contact", contact, "--json").stdout.splitlines()
    row, message, summary = map(json.loads, lines)
    assert (row["contact_id"], row["consent"]["state"], row["consent"]["source"]) == (contact, "opted_out", "keyword")
    assert row["consent"]["evidence"].endswith(f"@{row['consent']['stopped_offset']}")
    assert (message["outcome"], message["recipient"]) == ("suppressed", "•••0105")
    assert summary["summary"]["contacts"] == 1 and STOPPED not in "".join(lines) and "Once 5." not in "".join(lines)
    assert f"{contact}  tenant default" in replay(stand, "--contact", contact).stdout


def test_a_person_was_not_opted_out_before_the_stop(stand):
    contact = contact_of(stand, STOPPED)
    stopped = next(r for r in records(stand, "contacts") if r.key() == contact.encode() and b'"stop"' in r.value())
    before, after = (
        replay(stand, "--contact", contact, "--until", clock.iso(stopped.timestamp()[1] + shift), "--json")
        for shift in (-1, 0)
    )
    assert before.returncode == 0 and json.loads(before.stdout.splitlines()[0])["summary"]["contacts"] == 0
    assert json.loads(after.stdout.splitlines()[0])["consent"]["state"] == "opted_out"


def test_what_makes_no_sense_is_told(stand):
    assert replay(stand, "--verify", "--until", "1h").returncode == 2
    assert "must be 20 hex digits" in replay(stand, "--contact", "+12125550105").stderr
    assert replay(stand, "--contact", "0" * 20).returncode == 1
    foreign = replay(stand, "--verify", HELIOGRAPH_PSEUDONYM_KEY="99" * 32)
    assert foreign.returncode == 1 and "was written under another key" in foreign.stderr


def test_an_auditor_needs_no_key(stand):
    assert replay(stand, "--verify", HELIOGRAPH_PSEUDONYM_KEY="", HELIOGRAPH_SEAL_KEYS="").returncode == 0


def test_p6_a_row_that_was_touched_is_named_with_contact_and_field(stand):
    stand.parts["worker-1"].stop()
    contact = contact_of(stand, STOPPED).encode()
    good = live(stand, CHANGELOG)[contact]
    try:
        put(stand, CHANGELOG, contact, tampered(good, lambda row: row["consent"].update(opted_out=False)))
        assert_told(stand, contact, "consent.opted_out", "folded true, live false")
        put(stand, CHANGELOG, contact, tampered(good, lambda row: row.update(watermark=1 << 40)))
        assert_told(stand, contact, "watermark", f"offset {1 << 40}")
        put(stand, CHANGELOG, contact, None)
        assert_told(stand, contact, "row", "folded a row, live nothing")
        put(stand, CHANGELOG, contact, b"{broken")
        assert_told(stand, contact, "row", "live not readable")
    finally:
        put(stand, CHANGELOG, contact, good)
    assert verify(stand)[0].returncode == 0


def test_p6_a_row_that_went_back_to_what_it_was_is_found_out(stand):
    contact = contact_of(stand, SENT).encode()
    versions = [value for key, value in raw(stand, CHANGELOG) if key == contact]
    older = next(value for value in versions if json.loads(value)["watermark"] < json.loads(versions[-1])["watermark"])
    put(stand, CHANGELOG, contact, older)
    assert_told(stand, contact, "watermark", "live an earlier input")
    put(stand, CHANGELOG, contact, versions[-1])


def test_p6_a_message_row_that_was_touched_or_made_up_is_found_out(stand):
    message, good = next((key, row) for key, row in live(stand, MESSAGES).items() if key.startswith(KEPT.encode()))
    put(stand, MESSAGES, message, tampered(good, lambda row: row.update(word="delivered")))
    assert_told(stand, message, "word", "folded rejected, live delivered")
    put(stand, MESSAGES, message, good)
    made_up = message[:20] + b"-" + b"f" * 20
    put(stand, MESSAGES, made_up, good, of=message)
    assert_told(stand, made_up, "watermark", "no input that leads to this row")
    put(stand, MESSAGES, made_up, None, of=message)
    assert verify(stand)[0].returncode == 0


def assert_told(stand: DevCluster, key: bytes, field: str, words: str) -> None:
    done, told = verify(stand)
    assert done.returncode == 1
    assert [(d["key"], d["field"]) for d in told["differences"]] == [(key.decode(), field)]
    said = replay(stand, "--verify").stdout
    assert f"{key.decode()}: {field}: " in said and words in said
    assert STOPPED not in said


def live(stand: DevCluster, changelog: str) -> dict[bytes, bytes]:
    rows = dict(raw(stand, changelog))
    return {key: value for key, value in rows.items() if key and value}


def put(stand: DevCluster, changelog: str, key: bytes, value: bytes | None, of: bytes = b"") -> None:
    """By a plain producer, in the partition where the row (or another one) stands."""
    where = next(r.partition() for r in records(stand, changelog) if r.key() == (of or key))
    write_raw(stand, changelog, (key, value), partition=where)


def verify(stand: DevCluster) -> tuple["subprocess.CompletedProcess[str]", dict[str, Any]]:
    done = replay(stand, "--verify", "--json")
    assert done.stdout, done.stderr
    return done, json.loads(done.stdout)["summary"]


def replay(stand: DevCluster, *words: str, **env: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "app", "replay", *words]
    return subprocess.run(command, env={**stand.env, **env}, cwd=ROOT, capture_output=True, text=True, timeout=60)


def text(stand: DevCluster, sender: str, body: str) -> None:
    simulator(stand, "inbound", **{"from": sender, "body": body})


def simulator(stand: DevCluster, what: str, **given: Any) -> None:
    url = f"{stand.addresses()['simulator']}/_sim/{what}"
    asked = Request(url, json.dumps(given).encode(), {"Content-Type": "application/json"})
    assert urlopen(asked).status == 200


def in_seconds(seconds: int) -> str:
    return clock.iso(clock.now_ms() + seconds * 1000)
