"""P6 and P3 when the older part of the contact log is deleted, as retention deletes it."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.dev.dev_cluster import DevCluster
from app.domain.model.vocabulary import Intent
from tests.support.cluster import event, produce, read, records, standing
from tests.support.contact_log import contact_of, cut, fingerprint, rejected, tampered, write, write_raw
from tests.support.engine_lab import until
from tests.support.given import text

ROOT = Path(__file__).parents[2]
STOPPED = [f"+121255501{n:02d}" for n in range(20, 26)]
AFTER_S = 6


@pytest.fixture(scope="module")
def stand(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevCluster]:
    """People with nothing but a STOP, others with messages, one with a message that was refused; a checkpoint every few seconds."""
    extra = {"HELIOGRAPH_CHECKPOINT_AFTER_S": str(AFTER_S), "HELIOGRAPH_SESSION_TIMEOUT_S": "4"}
    path = tmp_path_factory.mktemp("checkpoints")
    with standing(kafka, path, extra=extra, simulator=["--mix", '{"delivered": 1.0}']) as made:
        for number in STOPPED:
            contact = contact_of(made, number)
            stop = text(Intent.STOP)
            write(made, contact, type(stop)(**{**fields(stop), "tenant": "default", "pk": fingerprint(made)}))
        produce(made, *(event(n) for n in range(10)))
        write(made, "b" * 20, rejected(made, "b" * 20, "refused"))
        until(lambda: len({o["message_id"] for o in read(made, "notify.outcomes")}) == 11, 60)
        until(lambda: live(made, "heliograph-messages-changelog"))
        yield made


def fields(record: Any) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__struct_fields__}


def checkpoints(stand: DevCluster) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for record in records(stand, "contacts"):
        if b'"type":"contact.checkpointed.v1"' in record.value():
            found.setdefault(record.key().decode(), []).append(record)
    return found


def test_every_contact_is_put_on_its_log_again_and_the_rest_may_go(stand):
    until(lambda: len(checkpoints(stand)) == 17, 60)
    assert verify(stand)["not_provable"] == {"contacts": 0, "messages": 0}
    # What goes is all before the first checkpoint of a contact in its partition, and so every STOP.
    first: dict[int, int] = {}
    until(lambda: all(row["based_offset"] > 0 for row in live(stand, "heliograph-contacts-changelog").values()))
    for found in checkpoints(stand).values():
        first[found[0].partition()] = min(found[0].offset(), first.get(found[0].partition(), 1 << 60))
    cut(stand, "contacts", first)
    told = verify(stand)
    assert told["different"] == 0 and told["begins"]
    assert (told["compared"]["contacts"], told["not_provable"]["contacts"]) == (17, 0)
    assert told["compared"]["messages"] + told["not_provable"]["messages"] == 11


def test_p3_every_stop_stands_in_the_replay_and_in_the_worker(stand):
    assert not [r for r in records(stand, "contacts") if b'"type":"contact.texted.v1"' in r.value()]
    for number in STOPPED:
        row = json.loads(replay(stand, "--contact", contact_of(stand, number), "--json").stdout.splitlines()[0])
        assert (row["consent"]["state"], row["consent"]["source"]) == ("opted_out", "keyword")
    produce(stand, event(50, to=STOPPED[0]))
    outcome = until(lambda: next((o for o in read(stand, "notify.outcomes") if o["idempotency_key"] == "k50"), None))
    assert (outcome["outcome"], outcome["reason"]) == ("suppressed", "opted_out")


def test_p8_a_checkpoint_holds_no_number_and_no_text(stand):
    values = b"".join(r.value() for found in checkpoints(stand).values() for r in found)
    assert b'"opted_out":true' in values and b"Build" not in values
    assert not re.search(rb"\+\d{7}", values)


def test_a_contact_whose_log_is_gone_without_a_checkpoint_is_told_as_not_provable(stand):
    stand.parts["worker-1"].stop()
    ends: dict[int, int] = {}
    for record in records(stand, "contacts"):
        ends[record.partition()] = record.offset() + 1
    last = max((r for found in checkpoints(stand).values() for r in found), key=lambda r: r.timestamp()[1])
    cut(stand, "contacts", {last.partition(): ends[last.partition()]})
    told = verify(stand)
    assert told["different"] == 0 and told["not_provable"]["contacts"] > 0
    assert told["not_provable"]["contacts"] + told["compared"]["contacts"] == 17
    assert "older inputs are deleted" in replay(stand, "--verify").stderr


def test_p6_a_row_that_was_touched_is_found_out_by_its_checkpoint(stand):
    told = verify(stand)
    compared = [n for n in STOPPED if provable(stand, contact_of(stand, n))]
    assert compared, told
    contact, changelog = contact_of(stand, compared[0]).encode(), "heliograph-contacts-changelog"
    record = [r for r in records(stand, changelog) if r.key() == contact][-1]
    forged = tampered(record.value(), lambda row: row["consent"].update(opted_out=False))
    write_raw(stand, changelog, (contact, forged), partition=record.partition())
    found = verify(stand, 1)["differences"]
    assert [(d["key"], d["field"]) for d in found] == [(contact.decode(), "consent.opted_out")]


def provable(stand: DevCluster, contact: str) -> bool:
    return (
        json.loads(replay(stand, "--verify", "--contact", contact, "--json").stdout)["summary"]["compared"]["contacts"]
        == 1
    )


def live(stand: DevCluster, changelog: str) -> dict[bytes, dict[str, Any]]:
    rows = {r.key(): r.value() for r in records(stand, changelog)}
    return {key: json.loads(value) for key, value in rows.items() if value}


def verify(stand: DevCluster, code: int = 0) -> dict[str, Any]:
    done = replay(stand, "--verify", "--json")
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)["summary"]


def replay(stand: DevCluster, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "app", "replay", *words]
    return subprocess.run(command, env=stand.env, cwd=ROOT, capture_output=True, text=True, timeout=60)
