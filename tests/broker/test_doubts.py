"""What Twilio's list is for, every station real: callbacks lost, answers lost, a STOP lost."""

import json
import subprocess
import sys
from pathlib import Path
from urllib.request import Request, urlopen

from app.dev.broker import free_port
from app.dev.dev_cluster import ACCOUNT, DevCluster
from app.dev.process_env import TOKEN
from tests.support.cluster import event, produce, read, standing
from tests.support.engine_lab import until

ROOT = Path(__file__).parents[2]
SCALED = {
    "HELIOGRAPH_CLAIM_TTL_S": "1",
    "HELIOGRAPH_HTTP_TIMEOUT_S": "1",
    "HELIOGRAPH_DOUBT_AFTER_S": "3",
    "HELIOGRAPH_DOUBT_LOOK_AFTER_S": "6,9",
    "HELIOGRAPH_LOOK_AFTER_S": "4,7,15",
    "HELIOGRAPH_INBOUND_LOOK_S": "1",
    "HELIOGRAPH_OUTCOME_GRACE_S": "8",
}
ENDS = {"+12125550101": "delivered", "+12125550102": "undelivered:30007", "+12125550103": "silent"}


def simulator(stand: DevCluster, path: str, **given: object) -> dict:
    body, headers = json.dumps(given).encode(), {"Content-Type": "application/json"}
    request = Request(stand.addresses()["simulator"] + path, body if given else None, headers)
    return json.loads(urlopen(request).read())


def creates(stand: DevCluster) -> list[dict]:
    return simulator(stand, "/_sim/creates")["creates"]


def doubts(stand: DevCluster, *more: str) -> list[dict]:
    command = [sys.executable, "-m", "app", "doubts", "--json", *more]
    done = subprocess.run(command, env=stand.env, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def outcomes(stand: DevCluster) -> dict[str, dict]:
    return {told["idempotency_key"]: told for told in read(stand, "notify.outcomes")}


def soon(seconds: int = 15) -> str:
    from datetime import UTC, datetime, timedelta

    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def test_p1_p3_with_every_callback_lost_outcomes_are_right_and_a_lost_stop_closes(kafka, tmp_path):
    with standing(kafka, tmp_path, extra=SCALED) as stand:
        simulator(stand, "/_sim/config", ends=ENDS)
        simulator(stand, "/_sim/faults", lost=1.0)
        produce(stand, *(event(n, expires_at=soon()) for n in (1, 2, 3)))
        nowhere = f"http://127.0.0.1:{free_port()}/twilio/inbound"
        simulator(stand, "/_sim/inbound", **{"from": "+12125550109", "body": "STOP", "url": nowhere})
        until(lambda: any(c["state"] == "opted_out" for c in read(stand, "notify.consent")))
        produce(stand, event(9))
        told = until(lambda: (found := outcomes(stand)) and len(found) == 4 and found, 60)
        steps = [u for u in read(stand, "notify.updates") if u.get("provenance") == "reconciled"]
        at_twilio = {create["to"]: create["status"] for create in creates(stand)}
    words = {key: told[key]["outcome"] for key in told}
    assert words == {"k1": "delivered", "k2": "undelivered", "k3": "unconfirmed", "k9": "suppressed"}
    assert told["k2"]["error_code"] == 30007 and {step["event"] for step in steps} == {"progressed"}
    assert all(told[key]["revision"] == 1 for key in told)
    assert at_twilio == {"+12125550101": "delivered", "+12125550102": "undelivered", "+12125550103": "sent"}


def test_p2_answers_lost_and_callbacks_lost_the_list_resolves_the_doubt_and_nothing_is_sent_twice(kafka, tmp_path):
    with standing(kafka, tmp_path, extra=SCALED, simulator=["--mix", '{"delivered": 1.0}']) as stand:
        simulator(stand, "/_sim/faults", lost=1.0, accept_then_500=1.0)
        produce(stand, *(event(n) for n in range(1, 6)))
        seen = until(lambda: len(found := doubts(stand)) == 5 and found)
        assert {(d["tenant"], d["attempt"], d["call"]) for d in seen} == {
            ("default", 1, "an answer that proves nothing")
        }
        metrics = urlopen(stand.parts["worker-1"].ready["internal"] + "/metrics").read().decode()
        assert 'heliograph_worker_attempts_in_doubt{lane="default",tenant="default"} 5.0' in metrics
        stand.parts["worker-1"].kill()
        stand.parts["worker-1"].restart()
        assert {d["message_id"] for d in doubts(stand)} <= {d["message_id"] for d in seen}
        told = until(lambda: len(found := outcomes(stand)) == 5 and found, 60)
        assert doubts(stand) == []
        assert '"event":"attempt.in_doubt"' in stand.parts["worker-1"].log.read_text()
        texts = [create["body"] for create in creates(stand)]
    assert {o["outcome"] for o in told.values()} == {"delivered"}
    assert {(a["answer"], a["in_doubt"]) for o in told.values() for a in o["attempts"]} == {("doubtful", True)}
    assert len(texts) == len(set(texts)) == 5


def test_p2_the_same_text_to_the_same_person_twice_both_in_doubt_is_resolved_by_nobodys_guess(kafka, tmp_path):
    with standing(kafka, tmp_path, extra=SCALED, simulator=["--mix", '{"delivered": 1.0}']) as stand:
        simulator(stand, "/_sim/faults", lost=1.0, accept_then_500=1.0)
        twins = [event(1, idempotency_key=key, expires_at=soon(10)) for key in ("one", "two")]
        produce(stand, *twins)
        told = until(lambda: len(found := outcomes(stand)) == 2 and found, 60)
        assert [d["outcome"] for d in doubts(stand)] == ["in_doubt"] * 2
        assert doubts(stand, "--tenant", "nobody") == [] and all(d["looks"] >= 3 for d in doubts(stand))
        assert len(creates(stand)) == 2
    assert {o["outcome"] for o in told.values()} == {"in_doubt"}


TENANTS = """
[tenants.default]
shared_requests = true
account_sid = "{account}"
auth_tokens = ["{token}"]
status_callback_url = "http://127.0.0.1:{port}/twilio/status"
inbound_url = "http://127.0.0.1:{port}/twilio/inbound"
resend_after_s = {{alert = 1.5}}
[tenants.default.lanes.main]
from_number = "+15005550006"
rate = 0
"""


def test_p2_an_alert_that_the_tenant_has_sent_again_lists_both_attempts_and_says_possible_duplicate(kafka, tmp_path):
    port, file = free_port(), tmp_path / "tenants.toml"
    file.write_text(TENANTS.format(account=ACCOUNT, token=TOKEN, port=port))
    extra = {**SCALED, "HELIOGRAPH_CONFIG": str(file)}
    mix = ["--mix", '{"delivered": 1.0}']
    with standing(kafka, tmp_path, extra=extra, simulator=mix, ports={"ingress": port}) as stand:
        simulator(stand, "/_sim/faults", lost=1.0, accept_then_500=1.0, calls=2)
        produce(stand, event(1, category="alert"), event(2, category="transactional"))
        told = until(lambda: len(found := outcomes(stand)) == 2 and found, 60)
        texts = sorted((create["body"], create["sid"]) for create in creates(stand))
    assert [body for body, _ in texts] == ["Build 1.", "Build 1.", "Build 2."]
    alert, other = told["k1"], told["k2"]
    assert (alert["outcome"], alert["possible_duplicate"]) == ("delivered", True)
    assert [(a["attempt"], a["in_doubt"]) for a in alert["attempts"]] == [(1, True), (2, False)]
    assert {a["message_sid"] for a in alert["attempts"]} == {sid for body, sid in texts if body == "Build 1."}
    assert (other["outcome"], other["possible_duplicate"], len(other["attempts"])) == ("delivered", False, 1)
