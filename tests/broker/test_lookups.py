"""Lookup before a picture and before a first text, every station real: a landline gets none, a failure is in no way."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.request import Request, urlopen

import pytest

from app.dev.dev_cluster import DevCluster
from tests.support.cluster import by_file, event, produce, read, standing
from tests.support.engine_lab import until

LANDLINE, VOIP, UNKNOWN = "+15005550104", "+15005550160", "+15005550161"
HELD, THROTTLED, BROKEN = "+15005550162", "+15005550163", "+15005550165"
FAILING = [UNKNOWN, HELD, THROTTLED, BROKEN]
PICTURE = "https://example.com/a.png"
LOOKUP = 'lookup = {alert = "first", transactional = "mms"}'
DELIVERED = ["--mix", '{"delivered": 1.0}']


@pytest.fixture(scope="module")
def stand(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevCluster]:
    path = tmp_path_factory.mktemp("lookups")
    with standing(kafka, path, simulator=DELIVERED, **by_file(path, tenant=LOOKUP)) as made:
        yield made


def told(stand: DevCluster, path: str) -> Any:
    return json.loads(urlopen(stand.addresses()["simulator"] + path).read())


def text(stand: DevCluster, person: str) -> None:
    said = json.dumps({"from": person, "body": "I can read this"}).encode()
    urlopen(Request(stand.addresses()["simulator"] + "/_sim/inbound", said, {"Content-Type": "application/json"}))


def outcomes(stand: DevCluster, *keys: str) -> list[dict[str, Any]]:
    def look() -> list[dict[str, Any]] | None:
        found = {one["idempotency_key"]: one for one in read(stand, "notify.outcomes")}
        return [found[key] for key in keys] if found.keys() >= {*keys} else None

    return list(until(look, 30))


def changes(stand: DevCluster) -> list[str]:
    return [one["state"] for one in read(stand, "notify.updates") if one["type"] == "notify.number_changed.v1"]


def sent(stand: DevCluster) -> list[str]:
    return [create["to"] for create in told(stand, "/_sim/creates")["creates"]]


def test_a_picture_for_a_landline_is_never_sent_nor_is_what_follows_until_it_texts_itself(stand: DevCluster) -> None:
    produce(stand, event(1, to=LANDLINE, media=[PICTURE], media_fallback="https://example.com/b/1"))
    [first] = outcomes(stand, "k1")
    assert (first["outcome"], first["reason"]) == ("failed", "number_invalid")
    assert [attempt["message_sid"] for attempt in first["attempts"]] == [""]
    produce(stand, event(2, to=LANDLINE))
    [second] = outcomes(stand, "k2")
    assert (second["outcome"], second["reason"], second["attempts"]) == ("suppressed", "number_invalid", [])
    assert LANDLINE not in sent(stand)
    text(stand, LANDLINE)
    until(lambda: changes(stand) == ["invalid", "valid"])
    produce(stand, event(3, to=LANDLINE, category="alert"))
    assert [one["error_code"] for one in outcomes(stand, "k3")] == [30006]
    assert told(stand, "/_sim/calls")["lookups"] == 1


def test_when_lookup_fails_the_text_goes_and_so_it_does_to_every_other_line(stand: DevCluster) -> None:
    before = told(stand, "/_sim/calls")["lookups"]
    texts = [event(10 + n, to=to, category="alert") for n, to in enumerate([VOIP, *FAILING])]
    produce(stand, *texts, event(20), event(21, to=VOIP, media=[PICTURE]))
    found = outcomes(stand, *(text["idempotency_key"] for text in texts), "k20", "k21")
    assert {one["outcome"] for one in found} == {"delivered"}
    assert {*FAILING, VOIP} <= {*sent(stand)}
    # The transactional text without a picture asks nobody; the VoIP number is known by now, or asked at the same time.
    assert told(stand, "/_sim/calls")["lookups"] - before in (len(texts), len(texts) + 1)
