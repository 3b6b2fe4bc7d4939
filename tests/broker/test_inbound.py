"""`heliograph inbound show`: what a person wrote, from the log; opened on demand, and that it was is kept for ever."""

import json
import subprocess
from collections.abc import Iterator
from urllib.request import Request, urlopen

import pytest

from app.dev.dev_cluster import DevCluster
from tests.support.cluster import prefix, read, standing
from tests.support.commands import heliograph
from tests.support.engine_lab import until

PERSON, WORDS = "+12125550109", "Please stop at 5?\r\n "


@pytest.fixture(scope="module")
def stand(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevCluster]:
    with standing(kafka, tmp_path_factory.mktemp("inbound"), workers=0) as made:
        body = json.dumps({"from": PERSON, "body": WORDS}).encode()
        urlopen(
            Request(made.addresses()["simulator"] + "/_sim/inbound", body, {"Content-Type": "application/json"})
        ).read()
        until(lambda: read(made, "contacts"))
        yield made


def show(stand: DevCluster, *words: str, **env: str) -> "subprocess.CompletedProcess[str]":
    return heliograph("inbound", "show", *words, **{**stand.env, **env})


def sid(stand: DevCluster) -> str:
    return read(stand, "contacts")[0]["sid"]


def test_p8_without_reveal_a_text_is_shown_by_what_may_be_seen_and_nothing_is_kept(stand: DevCluster) -> None:
    done = show(stand, sid(stand), "--json")
    told = json.loads(done.stdout)
    assert (told["sid"], told["intent"], told["masked"], told["opened"]) == (sid(stand), "none", "•••0109", [])
    assert told["token"] and "2125550109" not in done.stdout and "Please" not in done.stdout + done.stderr
    assert read(stand, "notify.consent") == []


def test_a_text_is_shown_as_it_came_and_a_record_says_who_opened_it(stand: DevCluster) -> None:
    told = json.loads(show(stand, sid(stand), "--reveal", "--by", "ada", "--json").stdout)
    assert (told["from"], told["body"]) == (PERSON, WORDS)
    fields = dict(told["webhook"]["fields"])
    assert fields["MessageSid"] == sid(stand) and fields["Body"] == WORDS and fields["From"] == PERSON
    assert told["webhook"]["kind"] == "inbound" and told["webhook"]["signature"]
    [opened] = read(stand, "notify.consent")
    assert (opened["type"], opened["by"], opened["message_sid"]) == ("notify.inbound_opened.v1", "ada", sid(stand))
    assert opened["contact_id"] == told["contact_id"] and PERSON not in json.dumps(opened)
    again = show(stand, sid(stand), "--reveal", "--by", "bob")
    assert f"kept on {prefix(stand)}notify.consent: {sid(stand)} was opened by bob" in again.stderr
    assert [entry["by"] for entry in json.loads(show(stand, sid(stand), "--json").stdout)["opened"]] == ["ada", "bob"]


def test_what_cannot_be_shown_is_told(stand: DevCluster) -> None:
    for words, env, code, said in (
        (["SM12"], {}, 2, "SID: must be SM or MM and 32 hex digits"),
        (["SM" + "0" * 32], {}, 1, "is no inbound text on"),
        ([sid(stand), "--reveal"], {"HELIOGRAPH_SEAL_KEYS": "k9:" + "99" * 32}, 1, "is sealed by a key that is not in"),
        ([sid(stand), "--reveal"], {"HELIOGRAPH_SEAL_KEYS": ""}, 2, "HELIOGRAPH_SEAL_KEYS: is required"),
        ([sid(stand), "--by", "a b"], {}, 2, "must be 1 to 64 letters"),
    ):
        done = show(stand, *words, **env)
        assert done.returncode == code and said in done.stderr, words
