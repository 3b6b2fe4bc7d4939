"""What Twilio refuses and reports as failed, on a real broker: the text with the link, numbers, and a stopped lane."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.request import Request, urlopen

import pytest

from app.dev.dev_cluster import DevCluster
from tests.support.cluster import event, produce, read, standing
from tests.support.commands import heliograph
from tests.support.engine_lab import until

IMPOSSIBLE = "+15005550001"  # Twilio's own: 21211
PRIVATE, LINK = "https://example.com/private.png", "https://example.com/b/1"
ENDS = {"+12125550101": "undelivered:30011", "+12125550104": "failed:30034"}


@pytest.fixture(scope="module")
def stand(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevCluster]:
    extra, simulator = {"HELIOGRAPH_PROBE_AFTER_S": "3"}, ["--mix", '{"delivered": 1.0}']
    with standing(kafka, tmp_path_factory.mktemp("errors"), extra=extra, simulator=simulator) as made:
        ask(made, "/_sim/config", {"ends": ENDS})
        yield made


def ask(stand: DevCluster, path: str, body: dict[str, Any] | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    url = stand.addresses()["simulator"] + path
    return json.loads(urlopen(Request(url, data, {"Content-Type": "application/json"})).read())


def outcome(stand: DevCluster, key: str) -> dict[str, Any]:
    return until(lambda: next((o for o in read(stand, "notify.outcomes") if o["idempotency_key"] == key), None))


# The same as event 4.
SEND = ["send", "--to", "+12125550104", "--body", "Build 4.", "--key", "k4", "--wait", "--timeout", "3", "--json"]


def findings(stand: DevCluster) -> list[dict[str, str]]:
    return json.loads(heliograph("doctor", "--json", **stand.env).stdout)["findings"]


def test_p2_a_picture_that_cannot_be_received_goes_once_more_as_a_text_with_the_public_link(stand: DevCluster) -> None:
    produce(stand, event(1, media=[PRIVATE], media_fallback=LINK))
    told = outcome(stand, "k1")
    assert (told["outcome"], told["reason"]) == ("undelivered", "mms_impossible")
    assert [attempt.get("without_media", False) for attempt in told["attempts"]] == [False, True]
    creates = [c for c in ask(stand, "/_sim/creates")["creates"] if c["to"] == "+12125550101"]
    assert [create["body"] for create in creates] == ["Build 1.", f"Build 1. {LINK}"]


def test_a_number_that_is_none_is_texted_no_more_until_it_texts_itself(stand: DevCluster) -> None:
    produce(stand, event(2, to=IMPOSSIBLE))
    assert outcome(stand, "k2")["reason"] == "number_invalid"
    produce(stand, event(3, to=IMPOSSIBLE))
    told = outcome(stand, "k3")
    assert (told["outcome"], told["reason"], told["attempts"]) == ("suppressed", "number_invalid", [])
    ask(stand, "/_sim/inbound", {"from": IMPOSSIBLE, "body": "I am here"})
    assert until(lambda: changes(stand)[1:]) == ["valid"] and changes(stand) == ["invalid", "valid"]


def changes(stand: DevCluster) -> list[str]:
    return [u["state"] for u in read(stand, "notify.updates") if u["type"] == "notify.number_changed.v1"]


def test_a_lane_refused_by_configuration_stays_stopped_over_a_restart_and_goes_on_with_a_probe(
    stand: DevCluster,
) -> None:
    produce(stand, event(4))
    until(lambda: [r for r in read(stand, "lanes") if r["type"] == "lane.slowed.v1" and r["code"] == 30034])
    [lane] = until(lambda: [f for f in findings(stand) if ": lane " in f["what"]])
    assert lane["what"] == "tenant default: lane default"
    assert "refuses its set-up (30034)" in lane["problem"] and "heliograph errors 30034" in lane["problem"]
    waited = heliograph(*SEND, **stand.env)
    told = json.loads(waited.stdout)
    assert waited.returncode == 1 and "1 outcome is not there after 3 s" in waited.stderr
    assert told["waits"].startswith("lane default: stopped since") and "heliograph errors 30034" in told["waits"]
    stand.parts["worker-1"].kill()
    env = {**stand.env, "HELIOGRAPH_STALL_TIMEOUT_S": "1"}
    explain = ["explain", told["message_id"], "--json"]
    said = f"{told['waits']}; no worker makes progress since "
    until(lambda: json.loads(heliograph(*explain, **env).stdout)["now"].startswith(said))
    stand.parts["worker-1"].restart()
    produce(stand, *(event(n) for n in range(5, 9)))
    assert {outcome(stand, f"k{n}")["outcome"] for n in range(5, 9)} == {"delivered"}
    turns = [r for r in read(stand, "contacts") if r["type"] == "contact.turn_granted.v1"]
    assert [turn["probe"] for turn in turns if "probe" in turn][:1] == ["sent"]
    assert "lane.proved.v1" in {record["type"] for record in read(stand, "lanes")}
    assert {"what": "lanes", "problem": ""} in until(lambda: [f for f in findings(stand) if f["what"] == "lanes"])
