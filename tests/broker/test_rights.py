"""Rights on Kafka, with a real authorizer: the declared ones are enough for every process, and a missing one is said."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from app.dev.broker import free_port
from app.dev.process_env import simulated
from app.kafka.authorized_operations import Operation
from app.kafka.rights import Right, rights_of
from tests.support.commands import faults, heliograph
from tests.support.engine_lab import until
from tests.support.guarded import TOPICS, GuardedWorker, guarded
from tests.support.keyring import DEFAULT_KEY, api_key, store_of


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedWorker]:
    """Its topics are made by who may make them and may do nothing else."""
    with guarded(tmp_path_factory.mktemp("guarded")) as made:
        done = heliograph("topics", "apply", **made.env("topics"))
        assert done.returncode == 0, done.stderr
        store_of(made.path / "api-keys.json", api_key(DEFAULT_KEY, "default"))
        yield made


def test_the_declared_rights_are_enough_from_a_request_to_its_outcome(site: GuardedWorker) -> None:
    port, twilio = free_port(), free_port()
    more = simulated(port, twilio) | {"HELIOGRAPH_RATE": "0"}
    with ExitStack() as parts:
        started = [
            site.part("stranger", "simulator", "--port", str(twilio), "--mix", '{"delivered": 1.0}', **more),
            site.part("ingress", "ingress", "--port", str(port), "--internal-port", "0", **more),
            site.part("worker", "worker", **more),
            site.part("bridge", "bridge", "--port", "0"),
            site.part("read-model", "read-model", "run", "--port", "0"),
        ]
        for part in started:
            parts.callback(part.stop)
        _, ingress, worker, bridge, _ = [part.wait() for part in started]
        headers = {"Authorization": f"Bearer {DEFAULT_KEY}"}
        asked = httpx.post(
            f"{ingress['ingress']}/v1/messages", headers=headers, json={"to": "+12125550123", "body": "Build 742."}
        )
        [message] = asked.json()["message_ids"]

        def status() -> str:
            answer = httpx.get(f"{ingress['ingress']}/v1/messages/{message}", headers=headers)
            return str(answer.json().get("status"))

        until(lambda: status() == "delivered", 40)
        # Shown once it has read to the end and committed how far.
        assert httpx.get(bridge["metrics"]).status_code == 200
        for part in (ingress, worker):
            until(lambda url=f"{part['internal']}/readyz": httpx.get(url).text == "ok", 20)


def test_an_ingress_that_must_not_read_the_contact_log_says_so_and_does_not_spool_for_ever(site: GuardedWorker) -> None:
    lacking = Right("topic", TOPICS.contacts, Operation.READ)
    site.allow("blind-ingress", [right for right in rights_of(TOPICS, "ingress") if right != lacking])
    done = heliograph("ingress", "--port", "0", **site.env("blind-ingress"))
    todo = "heliograph topics rights ingress prints all that are needed"
    assert (done.returncode, faults(done)) == (78, [f"no right to read topic {TOPICS.contacts}: {todo}"])


@pytest.mark.parametrize(
    ("words", "process"), [("bridge", "bridge"), ("read-model run", "read-model"), ("worker", "worker")]
)
def test_a_process_without_rights_ends_with_78_and_a_line_for_each(
    site: GuardedWorker, words: str, process: str
) -> None:
    done = heliograph(*words.split(), **site.env("stranger", simulated(1, 1)))
    told = [line.partition(":")[0] for line in faults(done)]
    assert (done.returncode, told) == (78, [f"no right to {right.words}" for right in rights_of(TOPICS, process)])


def test_whoever_may_not_make_topics_is_told_so_and_a_command_that_is_refused_says_what_to_do(
    site: GuardedWorker, tmp_path: Path
) -> None:
    done = heliograph("topics", "apply", **site.env("stranger"))
    assert done.returncode == 1 and faults(done)[0].startswith("no right to create topic guarded.notify.requests")
    done = heliograph("send", "--to", "+12125550123", "--body", "x", **site.env("stranger"))
    assert done.returncode == 1 and "Traceback" not in done.stderr and "heliograph topics rights" in faults(done)[0]
