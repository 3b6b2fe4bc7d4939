"""Two ingress processes on one spool directory in front of a real Kafka that is away; and a disk that is full."""

import os
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlencode

import msgspec
import pytest

from app.dev.broker import DevBroker, free_port
from app.dev.process import ChildProcess
from app.domain.model.inputs import TextArrived
from app.provider.webhooks import signature
from tests.broker.test_ingress import ACCOUNT, PUBLIC, TOKEN, Door, spooled
from tests.broker.test_ingress import door as door
from tests.support.engine_lab import until
from tests.support.given import ContactLog

OUT, BACK = "+12125550101", "+12125550102"
SIDS = [f"SM{n:032x}" for n in range(5)]
REOPEN_S = 2.05


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevBroker]:
    """One of our own, to be stopped."""
    made = DevBroker(free_port(), tmp_path_factory.mktemp("own-kafka"))
    made.start()
    yield made
    made.stop()


@contextmanager
def away(broker: DevBroker) -> Iterator[None]:
    """Stopped, then continued: to start it anew takes longer."""
    pid = broker.running()
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def say(door: Door, part: ChildProcess, sid: str, person: str, word: str) -> int:
    """A person texts in by way of this process: the status of the answer."""
    form = {"MessageSid": sid, "From": person, "To": "+15005550006", "Body": word, "AccountSid": ACCOUNT}
    headers = {
        "X-Twilio-Signature": signature(TOKEN, f"{PUBLIC}/inbound", list(form.items())),
        "Content-Type": "application/x-www-form-urlencoded",
    }
    return door.http.post(
        f"{part.ready['ingress']}/twilio/inbound", content=urlencode(form), headers=headers
    ).status_code


def said(door: Door, *sids: str) -> list[TextArrived]:
    """These texts, as they stand on the log."""
    return [msgspec.convert(value, TextArrived) for _, value in door.read("contacts") if value["sid"] in sids]


def first(texts: list[TextArrived]) -> list[str]:
    """SIDs in the order in which they came there first: what was under way when Kafka went may be there twice."""
    return list(dict.fromkeys(one.sid for one in texts))


def opted_out(texts: list[TextArrived]) -> bool:
    log = ContactLog().then(*texts)
    assert log.contact is not None
    return log.contact.consent.opted_out


def test_p3_stop_and_start_by_way_of_two_doors_count_as_received_though_the_later_spool_is_sent_first(
    door: Door, broker: DevBroker
) -> None:
    """One process is killed; the other sends its own spool, then what that one left in the directory they share."""
    early, late = door.start(), door.start()
    with away(broker):
        assert [door.report(part, n) for n, part in enumerate((early, late), 7)] == [204, 204]  # now both know it
        assert [say(door, early, SIDS[1], OUT, "START"), say(door, early, SIDS[2], BACK, "STOP")] == [200, 200]
        turn = time.monotonic() + REOPEN_S
        until(lambda: time.monotonic() > turn)
        assert [say(door, late, SIDS[3], OUT, "STOP"), say(door, late, SIDS[4], BACK, "START")] == [200, 200]
        early.kill()
    until(lambda: door.metric(late, "kafka_away") == 0, 60)
    until(lambda: spooled(door) == [])
    out, back = said(door, SIDS[1], SIDS[3]), said(door, SIDS[2], SIDS[4])
    assert [first(texts) for texts in (out, back)] == [[SIDS[3], SIDS[1]], [SIDS[4], SIDS[2]]]
    assert (opted_out(out), opted_out(back)) == (True, False)


def test_p4_a_frame_torn_by_a_kill_was_never_answered_and_all_that_was_is_on_the_log(
    door: Door, broker: DevBroker
) -> None:
    part = door.start()
    with away(broker):
        assert [door.report(part, n) for n in range(10)] == [204] * 10
        part.kill()
    [file] = spooled(door)
    with file.open("ab") as end:
        end.write(file.read_bytes()[:37])  # the beginning of a frame: a write that the kill cut short
    heir = door.start()
    until(lambda: door.metric(heir, "kafka_away") == 0, 60)
    assert list(dict.fromkeys(door.seen())) == list(range(10))
    assert [file.suffix for file in spooled(door)] == [".aside"]


def test_p4_a_full_disk_is_answered_with_503_and_all_that_was_taken_is_on_the_log(
    door: Door, broker: DevBroker
) -> None:
    """A limit on the size of files makes the disk full. Its log on stderr is a file too, and stays below the limit."""
    part, before, more, most = door.start(), 20, 15, resource.RLIM_INFINITY
    with away(broker):
        assert [door.report(part, n) for n in range(before)] == [204] * before
        limit = spooled(door)[0].stat().st_size + 1500
        resource.prlimit(part.pid, resource.RLIMIT_FSIZE, (limit, most))
        answers = [door.report(part, before + n) for n in range(more)]
        taken = answers.count(204)
        assert 0 < taken < more and answers == [204] * taken + [503] * (more - taken)
        assert say(door, part, SIDS[1], OUT, "STOP") == 503
        ready = door.http.get(f"{part.ready['internal']}/readyz")
        assert ready.status_code == 503 and "spool" in ready.text
        resource.prlimit(part.pid, resource.RLIMIT_FSIZE, (most, most))
        assert door.report(part, before + more) == 204
    until(lambda: door.metric(part, "kafka_away") == 0, 60)
    assert list(dict.fromkeys(door.seen())) == [*range(before + taken), before + more]
