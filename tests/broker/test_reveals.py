"""What is opened is recorded with who did it, and what is shown of it acts on no terminal."""

import json
import os
import pwd
import re
from typing import Any

import msgspec
import pytest
from confluent_kafka import Consumer, TopicPartition
from msgspec.structs import replace

from app import clock
from app.domain.model.identity import key_fingerprint
from app.domain.model.inputs import MessageRequested, TextArrived
from app.domain.model.vocabulary import Intent
from app.records.caller_fields import CallerFields, encode_caller_fields
from app.records.dead_letters import LostRecord, dead_letter
from app.records.seal import Content, Sealer
from app.records.webhooks import RawWebhook
from tests.support.commands import KEYS
from tests.support.given import CONTACT, MESSAGE, given, requested, turn
from tests.support.topics import TopicEnvironment

HOSTILE = "\x1b[2J\x9b31m\x07Hi\r\nnow  delivered\u202egnp.\u2028\x7f"
HARMFUL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029]")
SID, PERSON, TENANT = "SM" + "5" * 32, "+14155550123", "acme"
PK = key_fingerprint(bytes.fromhex(KEYS["HELIOGRAPH_PSEUDONYM_KEY"]))
SEALER = Sealer({"k1": bytes.fromhex("22" * 32)})


def request() -> MessageRequested:
    content = Content(PERSON, HOSTILE, (HOSTILE,))
    fields = encode_caller_fields(CallerFields(HOSTILE, HOSTILE, {HOSTILE: HOSTILE}, HOSTILE))
    sealed = {"sealed_caller_fields": SEALER.seal(fields, TENANT, MESSAGE)}
    return replace(requested(), pk=PK, sealed=SEALER.seal_content(content, TENANT, MESSAGE), **sealed)


def text() -> TextArrived:
    raw = RawWebhook(
        "inbound", HOSTILE.replace("\u202e", "").replace("\u2028", ""), "Body=%1B%5B2J%0D%0A%C2%9B", "signature"
    )
    content = Content(PERSON, HOSTILE, (), HOSTILE)
    return TextArrived(
        id="t", tenant=TENANT, pk=PK, at=clock.now_ms(), sid=SID, intent=Intent.NONE, masked="\u2022\u2022\u20220123",
        sealed=SEALER.seal_content(content, TENANT, SID), raw=SEALER.seal(msgspec.json.encode(raw), TENANT, SID),
    )  # fmt: skip


def outcome() -> dict[str, Any]:
    masked = {"masked": HOSTILE}
    told = {
        "outcome": "rejected",
        "reason": HOSTILE,
        "field": HOSTILE,
        "rule": HOSTILE,
        "revision": 1,
        "error_code": None,
    }
    return {"message_id": MESSAGE, "tenant": TENANT, "at": "2026-03-03T10:00:00.000Z", "recipient": masked, **told}


def doubtful() -> bytes:
    """A row with an attempt in doubt on a lane of a hostile name."""
    log = given(requested(lane=HOSTILE), turn())
    assert log.contact is not None
    [(key, message)] = log.contact.messages.items()
    attempt = replace(message.attempts[0], doubtful=True, doubted_ms=1)
    return msgspec.json.encode(replace(log.contact, messages={key: replace(message, attempts=(attempt,))}))


@pytest.fixture(scope="module")
def place(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> TopicEnvironment:
    made = TopicEnvironment(kafka, tmp_path_factory.mktemp("reveals"))
    made.env["HELIOGRAPH_STALL_TIMEOUT_S"] = "1"  # for so long `explain` watches whether workers make progress
    for record in (request(), text()):
        made.produce("contacts", CONTACT, msgspec.json.encode(record))
    made.produce("notify.outcomes", MESSAGE, outcome())
    made.produce("heliograph-contacts-changelog", CONTACT, doubtful())
    lost = LostRecord("notify.requests", "0-1", HOSTILE.encode(), HOSTILE.encode(), 1, [(HOSTILE, HOSTILE.encode())])
    made.produce("notify.deadletters", "a", dead_letter(SEALER, lost, HOSTILE, HOSTILE)[0])
    return made


def letter(place: TopicEnvironment) -> str:
    return str(json.loads(place.run("deadletters", "list", "--json").stdout)["id"])


def commands(place: TopicEnvironment) -> dict[str, list[str]]:
    """Every command that prints what a person or a producer wrote."""
    return {
        "outcomes": ["outcomes"],
        "explain": ["explain", MESSAGE, "--reveal"],
        "doubts": ["doubts"],
        "replay": ["replay"],
        "list": ["deadletters", "list"],
        "show": ["deadletters", "show", letter(place), "--reveal"],
        "inbound": ["inbound", "show", SID, "--reveal"],
    }


SHOWN = {"outcomes", "explain", "doubts", "list", "show", "inbound"}


def test_nothing_that_a_stranger_wrote_acts_on_a_terminal_or_makes_a_line(place: TopicEnvironment) -> None:
    for name, words in commands(place).items():
        plain, told = place.run(*words), place.run(*words, "--json")
        for done in (plain, told):
            assert done.returncode == 0, done.stderr
            assert HARMFUL.search(done.stdout + done.stderr) is None, name
        assert not any(line.startswith("now  delivered") for line in plain.stdout.splitlines()), name
        assert ("\\x1b[2J\\x9b31m" in plain.stdout) is (name in SHOWN), name
        assert all(json.loads(line) for line in told.stdout.splitlines())


def test_texts_are_printed_as_they_are_where_that_is_asked_for(place: TopicEnvironment) -> None:
    asked = commands(place)
    for name in ("outcomes", "explain", "show", "inbound"):
        assert HOSTILE.replace("\r\n", "\n") in place.run(*asked[name], "--raw").stdout, name


def audit(place: TopicEnvironment, topic: str, kind: str) -> list[dict[str, Any]]:
    """Records of a type on a topic, oldest first."""
    reader = Consumer({"bootstrap.servers": place.env["KAFKA_BOOTSTRAP_SERVERS"], "group.id": "none"})
    found = []
    for number in range(2):
        where = TopicPartition(place.prefix + topic, number, 0)
        _, end = reader.get_watermark_offsets(where)
        reader.assign([where])
        while end and reader.position([where])[0].offset < end:
            if (record := reader.poll(1)) is not None and record.error() is None:
                found.append(json.loads(record.value()))
    reader.close()
    return sorted((one for one in found if one["type"] == kind), key=lambda one: one["at"])


OPENED = {
    "explain": ("notify.consent", "notify.message_opened.v1", ("message_id", MESSAGE)),
    "inbound": ("notify.consent", "notify.inbound_opened.v1", ("message_sid", SID)),
    "show": ("notify.deadletters", "notify.deadletter_opened.v1", ("source", "notify.requests-0-1")),
}


@pytest.mark.parametrize("name", OPENED)
def test_every_reveal_is_recorded_with_the_name_given_and_the_users_of_the_system(
    place: TopicEnvironment, name: str
) -> None:
    topic, kind, (field, value) = OPENED[name]
    words = commands(place)[name]
    before = len(audit(place, topic, kind))
    place.run(*(word for word in words if word != "--reveal"))
    assert len(audit(place, topic, kind)) == before, "nothing was opened"
    done = place.run(*words, "--by", "ada", SUDO_USER="bob", USER="eve")
    assert done.returncode == 0 and "was opened by ada" in done.stderr
    record = audit(place, topic, kind)[-1]
    system = {"by": "ada", "os_user": pwd.getpwuid(os.getuid()).pw_name, "sudo_user": "bob"}
    assert {name: record[name] for name in system} == system and record[field] == value
    assert PERSON not in json.dumps(record)


def test_a_name_that_is_none_is_kept_out_of_the_record(place: TopicEnvironment) -> None:
    done = place.run(*commands(place)["explain"], SUDO_USER=HOSTILE.replace("\x00", ""), USER="DOMAIN\\ada b")
    record = audit(place, "notify.consent", "notify.message_opened.v1")[-1]
    assert done.returncode == 0 and (record["by"], record["sudo_user"]) == ("DOMAIN_ada_b", "")
