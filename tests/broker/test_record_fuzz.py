"""Random records on every topic: none ends the worker, none is lost, and another team's text leaves as ever.

FUZZ_RECORDS says how many (400), FUZZ_SEED which; `FUZZ_RECORDS=20000 ./ops/test -k record_fuzz` is the long run.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import msgspec
import pytest
from confluent_kafka import Consumer, TopicPartition

from app.config.settings import Settings
from app.dev.broker import free_port
from app.dev.dev_cluster import DevCluster
from app.dev.process_env import simulated
from app.records.seal import Sealer
from tests.support.cluster import event, produce, read, standing
from tests.support.commands import ROOT
from tests.support.engine_lab import until
from tests.support.fuzz_accounts import PARTITIONS, Accounts
from tests.support.fuzz_lots import write_lots
from tests.support.fuzz_producers import WrittenRecord
from tests.support.fuzzed_internal import FAMILIES
from tests.support.fuzzed_record import CANARY, NUMBERS
from tests.support.leaks import Canary, Searcher, of_number

COUNT, SEED = int(os.environ.get("FUZZ_RECORDS", "400")), int(os.environ.get("FUZZ_SEED", "7"))
WAIT_S = 60 + COUNT / 5
MEMORY_KB = 600_000
FUZZED, OTHER = "acme", "beta"
TENANT = """
[tenants.{name}]
shared_requests = true
account_sid = "{TWILIO_ACCOUNT_SID}"
auth_tokens = ["{TWILIO_AUTH_TOKEN}"]
status_callback_url = "http://127.0.0.1:{ingress}/twilio/{name}/status"
inbound_url = "http://127.0.0.1:{ingress}/twilio/{name}/inbound"
[tenants.{name}.lanes.main]
messaging_service_sid = "{TWILIO_MESSAGING_SERVICE_SID}"
rate = 0
"""
# Kinds of which nothing can come but a dead letter.
HOPELESS = ("noise", "nested", "null")
# A call whose answer a busy machine loses is looked for at once, not after minutes.
SETTINGS = {"HELIOGRAPH_BULK_RATE": "500", "HELIOGRAPH_DOUBT_AFTER_S": "16", "HELIOGRAPH_DOUBT_LOOK_AFTER_S": "17,20,30",
            "HELIOGRAPH_LOOK_AFTER_S": "15,30,60,120"}  # fmt: skip


@pytest.fixture
def stand(kafka: str, tmp_path: Path) -> Iterator[DevCluster]:
    ports = {"ingress": free_port(), "simulator": free_port()}
    file, given = tmp_path / "tenants.toml", simulated(*ports.values())
    file.write_text("".join(TENANT.format(name=name, ingress=ports["ingress"], **given) for name in (FUZZED, OTHER)))
    extra = {**SETTINGS, "HELIOGRAPH_CONFIG": str(file)}
    with standing(kafka, tmp_path, extra=extra, ports=ports, simulator=["--mix", '{"delivered": 1.0}']) as made:
        yield made


def test_no_random_record_stops_the_worker_or_another_team(stand: DevCluster) -> None:
    settings = Settings.read(stand.env)
    worker = stand.parts["worker-1"]
    pid, accounts = worker.pid, Accounts(settings.kafka, settings.topic_prefix)
    requests, internal = write_lots(settings, FUZZED, COUNT, SEED)

    def settled() -> bool:
        assert worker.dead() is None, worker.last_line()
        accounts.follow()
        return not accounts.lost(requests) and not accounts.without_outcome(now_ms()) and caught_up(settings)

    try:
        until(settled, WAIT_S)
    except AssertionError:
        pytest.fail(f"{worker.last_line()}\n{described(accounts, requests)}")
    produce(stand, event(1, tenant=OTHER))
    until(lambda: [o["outcome"] for o in read(stand, "notify.outcomes") if o["tenant"] == OTHER] == ["delivered"])
    accounts.follow()
    accounts.close()
    assert worker.dead() is None and worker.pid == pid and memory_kb(pid) < MEMORY_KB
    judge_requests(accounts, requests, Sealer(settings.seal_keys))
    assert [
        one for one in internal if one.committed and one.record.kind in HOPELESS and one.place not in accounts.letters
    ] == []
    assert accounts.faults == [], "what is refused is refused by a rule"
    assert texts_of(stand) & {one.record.number for one in requests if not one.committed} == set()
    assert leaks(stand, accounts) == set()
    assert verified(stand)


def judge_requests(accounts: Accounts, requests: list[WrittenRecord], sealer: Sealer) -> None:
    assert accounts.raised(requests) == []
    assert accounts.miscounted(requests) == []
    assert accounts.unlettered() == []
    assert list(accounts.unopened(requests, sealer)) == []
    kinds = Counter(one.record.kind for one in requests if one.committed and one.place in accounts.letters)
    assert set(kinds) >= {*HOPELESS, "changed", "damaged", "large", "stranger"}, "each of these was met"


# -- looking


def now_ms() -> int:
    return int(time.time() * 1000)


def caught_up(settings: Settings) -> bool:
    """Whether everything of every topic that the worker reads is committed."""
    group = {"bootstrap.servers": settings.kafka, "group.id": settings.group, "isolation.level": "read_uncommitted"}
    consumer = Consumer(group)
    topics = [settings.topic_prefix + topic for topic in ("notify.requests", *FAMILIES)]
    places = [TopicPartition(topic, number) for topic in topics for number in range(PARTITIONS)]
    committed = consumer.committed(places, timeout=20)
    ends = [consumer.get_watermark_offsets(place, timeout=20)[1] for place in places]
    consumer.close()
    return all(max(0, place.offset) == end for place, end in zip(committed, ends, strict=True))


def described(accounts: Accounts, requests: list[WrittenRecord]) -> str:
    lost, late = accounts.lost(requests), accounts.without_outcome(now_ms())
    return f"{len(lost)} lost: {str(lost[:2])[:2000]}; {len(late)} messages without an outcome: {late[:5]}"


def texts_of(stand: DevCluster) -> set[int]:
    """Numbers of the requests whose texts reached Twilio."""
    with urlopen(stand.addresses()["simulator"] + "/_sim/creates") as answer:
        creates = json.load(answer)["creates"]
    return {int(found[1]) for create in creates if (found := re.match(r"Fuzz (\d+) ", create["body"]))}


def verified(stand: DevCluster) -> bool:
    """Whether every row is what the log says, those of garbage too (P6)."""
    command = [sys.executable, "-m", "app", "replay", "--verify", "--json"]
    done = subprocess.run(command, cwd=ROOT, env=stand.env, capture_output=True, text=True, timeout=WAIT_S)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return True


def memory_kb(pid: int) -> int:
    """The most that the process ever had in memory."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1])


def leaks(stand: DevCluster, accounts: Accounts) -> set[str]:
    """Where a text or a number is in clear: logs of every part, and dead letters."""
    searcher = Searcher([Canary("text", CANARY), *(one for number in NUMBERS[:20] for one in of_number(number))])
    for part in stand.parts.values():
        searcher.look(part.name, part.log.read_bytes())
    for letter in map(msgspec.json.decode, accounts.letters.values()):
        sealed = {"payload": "", "envelope": ""}
        searcher.look("dead letters", msgspec.json.encode({**letter, **sealed}))
    return {f"{leak.kind} ({leak.form}) in {leak.place}" for leak in searcher.leaks}
