"""The main job on a real broker: every station real."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from app.dev.dev_cluster import ACCOUNT, DevCluster
from tests.support.cluster import event, produce, read, standing, whole
from tests.support.engine_lab import until

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def stand(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevCluster]:
    with standing(kafka, tmp_path_factory.mktemp("pipeline"), simulator=["--mix", '{"delivered": 1.0}']) as made:
        yield made


def outcome(stand: DevCluster, key: str) -> dict:
    return until(lambda: next((o for o in read(stand, "notify.outcomes") if o["idempotency_key"] == key), None))


def test_p1_a_plain_record_ends_as_one_delivered_outcome(stand):
    produce(stand, event(1))
    told = outcome(stand, "k1")
    assert (told["outcome"], told["revision"]) == ("delivered", 1)
    assert told["recipient"]["masked"] == "•••0101"
    assert [a["answer"] for a in told["attempts"]] == ["taken"]


def test_p2_the_same_request_twice_is_sent_once(stand):
    produce(stand, event(2), event(2))
    outcome(stand, "k2")
    produce(stand, event(3))
    outcome(stand, "k3")
    assert len([c for c in creates(stand) if c["body"] == "Build 2."]) == 1


def test_the_same_key_with_another_text_is_a_conflict_and_not_sent(stand):
    produce(stand, event(4))
    outcome(stand, "k4")
    produce(stand, event(4, body="Another text.", id="request-2"))
    told = until(lambda: [u for u in whole(stand, "notify.updates") if b'"conflicted"' in (u[1] or b"")])
    assert [key for key, *_ in told] == [b"request-2"]
    assert "idempotency_key" in [letter["field"] for letter in read(stand, "notify.deadletters")]
    assert not [c for c in creates(stand) if c["body"] == "Another text."]


def test_p3_nothing_is_sent_after_stop_and_start_reopens(stand):
    text(stand, "+12125550105", "STOP")
    until(lambda: any(c["state"] == "opted_out" for c in read(stand, "notify.consent")))
    produce(stand, event(5))
    assert outcome(stand, "k5")["outcome"] == "suppressed"
    assert not [c for c in creates(stand) if c["to"] == "+12125550105"]


BAD = [
    (b"{not json", "value", "is not JSON in UTF-8", False),
    (b"[1,2]", "value", "expected `object`, got `array`", False),
    ({"type": "notify.guessed.v1", "to": "+12125550110"}, "type", "is not one of the known values", False),
    ({"type": "notify.requested.v1", "body": "x"}, "to", "is required", False),
    ({"type": "notify.requested.v1", "to": 12125550110, "body": "x"}, "to", "expected `str | array`", False),
    (event(10, priority="soon"), "priority", "is not one of the known values", True),
    (event(11, to="+1212"), "to", "is not a possible phone number", True),
    (event(12, body="  "), "body", "is empty and there is no media", True),
    (event(13, body="x" * 1601), "body", "is longer than 1600 characters", True),
    (event(14, media=["https://example.com/a.png"] * 11), "media", "has more than 10 entries", True),
    (event(15, send_at="2026-12-01T10:00:00"), "send_at", "expected", True),
    (event(16, tenant="nobody"), "tenant", "is not known", False),
    (event(17, sender="nowhere"), "sender", "is not a lane of this tenant", True),
    (event(18, to=[f"+1212555{n:04d}" for n in range(1001)]), "to", "names more than 1000 recipients", False),
    (event(19, body="x" * 1_000_000), "value", "is longer than", False),
]  # fmt: skip


def test_bad_input_is_kept_with_its_field_and_rule_and_the_log_moves_on(stand):
    before = len(read(stand, "notify.deadletters"))
    produce(stand, *(bad for bad, *_ in BAD), event(20, to=["+12125550120", "+1212"]))
    until(lambda: len(read(stand, "notify.deadletters")) >= before + len(BAD) + 1)
    letters = [(d["field"], d["rule"]) for d in read(stand, "notify.deadletters")]
    for _, field, rule, _ in BAD:
        assert any(f == field and rule in r for f, r in letters), (field, rule, letters)
    assert ("to[1]", "is not a possible phone number") in letters
    for bad, field, _, identified in BAD:
        if identified:
            told = outcome(stand, bad["idempotency_key"])
            assert (told["outcome"], told["field"]) == ("rejected", field)
    until(
        lambda: [
            o for o in read(stand, "notify.outcomes") if o["idempotency_key"] == "k20" and o["outcome"] == "delivered"
        ]
    )


def test_cloudevents_structured_and_binary_are_read(stand):
    structured = {"specversion": "1.0", "id": "ce-1", "source": "t", "type": "notify.requested.v1"}
    produce(stand, {**structured, "data": {"to": "+12125550121", "body": "structured"}})
    binary = {"ce_specversion": "1.0", "ce_id": "ce-2", "ce_source": "t", "ce_type": "notify.requested.v1"}
    produce(stand, {"to": "+12125550123", "body": "binary"}, headers=binary)
    assert [outcome(stand, f"ce-{n}")["outcome"] for n in (1, 2)] == ["delivered"] * 2


def test_a_message_is_explained_with_its_inputs_and_decisions(stand):
    produce(stand, event(22))
    told = outcome(stand, "k22")
    # Reports may overtake the answer.
    line = until(
        lambda: (said := command(stand, "explain", told["message_id"], "--json")).count("answered.v1") and said
    )
    inputs = [step["input"] for step in json.loads(line)["steps"]]
    assert inputs[:2] == ["contact.requested.v1", "contact.turn_granted.v1"]
    assert inputs.count("contact.answered.v1") == 1 and inputs[-1] in ("contact.answered.v1", "contact.reported.v1")
    assert "Build 22." not in line and "+12125550122" not in line
    assert "Build 22." in command(stand, "explain", told["message_id"], "--json", "--reveal")


def test_a_file_sent_twice_sends_once(stand, tmp_path):
    people = tmp_path / "people.csv"
    people.write_text("to,body\n+12125550130,From a file.\n+12125550131,From a file.\n")
    rows = [json.loads(line) for line in command(stand, "send", str(people), "--wait", "--json").splitlines()]
    assert [row["outcome"] for row in rows] == ["delivered", "delivered"]
    command(stand, "send", str(people), "--wait", "--json")
    assert len([c for c in creates(stand) if c["body"] == "From a file."]) == 2


def test_the_http_door_answers_202_and_problems_by_name(stand):
    assert post(stand, event(40))[0] == 202
    assert outcome(stand, "k40")["outcome"] == "delivered"
    assert post(stand, event(41), key="wrong")[0] == 401
    assert post(stand, b"{broken")[0] == 400
    status, problem = post(stand, event(42, body=""))
    assert (status, problem["field"], problem["rule"]) == (422, "body", "is empty and there is no media")
    assert post(stand, b"x" * 1_000_000)[0] == 413
    assert delete(stand, "nonsense") == 404


def test_p8_a_wrong_signature_is_403_and_logged_without_its_content(stand):
    form = b"MessageSid=SM1&MessageStatus=sent&AccountSid=" + ACCOUNT.encode() + b"&To=%2B12125550199"
    headers = {"X-Twilio-Signature": "bm9uc2Vuc2U=", "Content-Type": "application/x-www-form-urlencoded"}
    url = stand.addresses()["ingress"] + "/twilio/status?m=x&a=1"
    assert call(Request(url, form, headers))[0] == 403
    assert "12125550199" not in stand.parts["ingress"].log.read_text()


def test_p1_p2_a_worker_killed_in_the_middle_still_gives_one_outcome_each_and_sends_nothing_twice(kafka, tmp_path):
    extra = {"HELIOGRAPH_OUTCOME_GRACE_S": "3", "HELIOGRAPH_DOUBT_AFTER_S": "4", "HELIOGRAPH_CLAIM_TTL_S": "1",
             "HELIOGRAPH_HTTP_TIMEOUT_S": "2", "HELIOGRAPH_SESSION_TIMEOUT_S": "4"}  # fmt: skip
    with standing(kafka, tmp_path, extra=extra, simulator=["--mix", '{"delivered": 1.0}']) as stand:
        expires = _in_seconds(20)
        produce(stand, *(event(n, body=f"Once {n}.", expires_at=expires) for n in range(100)))
        until(lambda: len(creates(stand)) > 15)
        stand.parts["worker-1"].kill()
        stand.parts["worker-1"].restart()
        until(lambda: len({o["message_id"] for o in read(stand, "notify.outcomes")}) == 100, 90)
        words = [(o["message_id"], o["revision"]) for o in read(stand, "notify.outcomes")]
        sent = [c["body"] for c in creates(stand)]
    assert len({message for message, _ in words}) == 100
    assert len(set(sent)) == len(sent)


def _in_seconds(seconds: int) -> str:
    from datetime import UTC, datetime, timedelta

    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def creates(stand: DevCluster) -> list[dict]:
    return json.loads(urlopen(stand.addresses()["simulator"] + "/_sim/creates").read())["creates"]


def text(stand: DevCluster, sender: str, body: str) -> None:
    given = json.dumps({"from": sender, "body": body}).encode()
    url = stand.addresses()["simulator"] + "/_sim/inbound"
    answer = json.loads(urlopen(Request(url, given, {"Content-Type": "application/json"})).read())
    assert answer["status"] == 200 and "<Response/>" in answer["body"]


def command(stand: DevCluster, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "app", *words], env=stand.env, cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def post(stand: DevCluster, body: bytes | dict, key: str = "") -> tuple[int, dict]:
    raw_body = body if isinstance(body, bytes) else json.dumps(body).encode()
    bearer = key or stand.api_key
    headers = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"}
    status, answer = call(Request(stand.addresses()["ingress"] + "/v1/messages", raw_body, headers))
    return status, json.loads(answer or b"{}")


def delete(stand: DevCluster, message: str) -> int:
    headers = {"Authorization": f"Bearer {stand.api_key}"}
    return call(Request(f"{stand.addresses()['ingress']}/v1/messages/{message}", headers=headers, method="DELETE"))[0]


def call(request: Request) -> tuple[int, bytes]:
    from urllib.error import HTTPError

    try:
        with urlopen(request) as answer:
            return answer.status, answer.read()
    except HTTPError as error:
        return error.code, error.read()
