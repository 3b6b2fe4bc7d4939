"""What a fold decided, as records: each by its schema, those that take days to come about too."""

import json
from collections.abc import Callable
from functools import cache
from typing import Any

import msgspec
import pytest

from app.domain.fold import fold
from app.domain.model.contact import Contact, Message
from app.domain.model.inputs import Input as ContactInput
from app.domain.model.inputs import LogPosition
from app.domain.model.vocabulary import DeliveryStatus, DueKind, ErrorClass, Intent, Proof
from app.domain.rules.schedule import dues
from app.records.topics import Topics
from app.records.updates import EVENTS
from app.streams.agents.caller_fields import LEFT_OUT
from app.streams.agents.outputs import OutputBuilder
from app.streams.engine.agent import Input, Output
from tests.support.given import (
    CONTACT,
    KEY,
    MESSAGE,
    START_MS,
    abandoned,
    as_sealed,
    cancel,
    doubtful,
    due,
    listed,
    opened,
    pictured,
    recalled,
    refused,
    rejected,
    report,
    requested,
    seen,
    taken,
    text,
    turn,
)
from tests.support.judged import KINDS, faults, header_faults

SID, SEALED = "SM" + "c" * 32, "k1.AAAA"
# Builders of the domain's tests are shorter than what a door writes.
AS_WRITTEN = {"sid": SID, "sealed": SEALED, "sealed_to": SEALED}


class Told:
    """A contact's log folded, and every record that came of it. A scope that keeps what is emitted."""

    def __init__(self) -> None:
        self.outputs: list[Output] = []
        self._contact: Contact | None = None
        self._own: Message | None = None
        self._offset = 0

    def emit(self, output: Output) -> None:
        self.outputs.append(output)

    def then(self, *inputs: ContactInput) -> "Told":
        for given in inputs:
            self._fold(written(given))
        return self

    def when(self, *kinds: DueKind) -> "Told":
        """The timer of each kind comes due."""
        for kind in kinds:
            assert self._contact is not None
            message = self._contact.messages.get(KEY) or self._own
            assert message is not None
            self.then(due(kind, dict(dues(message))[kind]))
        return self

    def _fold(self, given: ContactInput) -> None:
        self._offset += 1
        at = START_MS + 1000 * self._offset
        kept = self._contact is not None and KEY in self._contact.messages
        own = {} if kept or self._own is None else {KEY: self._own}
        folded = fold(self._contact, own, given, LogPosition(0, self._offset, at))
        assert folded is not None
        self._contact, self._own = folded.contact, folded.written.get(KEY, self._own)
        record = Input("contacts", 0, self._offset, at, CONTACT.encode(), msgspec.json.encode(given), [])
        OutputBuilder(Topics("", "heliograph"), opened).emit(record, CONTACT, given, folded, self)  # type: ignore[arg-type]


def written(given: ContactInput) -> ContactInput:
    changes = {name: value for name, value in AS_WRITTEN.items() if getattr(given, name, "")}
    return msgspec.structs.replace(given, **changes)


LIVES: dict[str, Callable[[], Told]] = {
    "delivered, forgotten": lambda: (
        Told().then(requested(), turn(), taken(), report(DeliveryStatus.DELIVERED)).when(DueKind.FORGET)
    ),
    "refused, retried, failed, delivered after all": lambda: (
        Told()
        .then(requested(), turn(), refused(ErrorClass.TRANSIENT, code=20500))
        .when(DueKind.RETRY)
        .then(turn(2), taken(2), report(DeliveryStatus.FAILED, 2, code=30008, error=ErrorClass.UNKNOWN))
        .then(report(DeliveryStatus.DELIVERED, 2))
    ),
    "never answered": lambda: Told().then(requested(), turn()).when(DueKind.DOUBT, DueKind.OUTCOME),
    "found on the list, and disproved": lambda: Told().then(
        requested(),
        turn(),
        doubtful(),
        listed(seen("SM" + "9" * 32, created_ms=START_MS + 2000)),
        report(DeliveryStatus.SENT, sid="SM1"),
    ),
    "doubtful": lambda: Told().then(requested(), turn(), doubtful()).when(DueKind.OUTCOME),
    "abandoned, expired": lambda: Told().then(requested(), turn(), abandoned()).when(DueKind.EXPIRE),
    "no receipt": lambda: Told().then(requested(), turn(), taken()).when(DueKind.OUTCOME),
    "canceled in advance": lambda: Told().then(cancel(), requested()),
    "canceled too late": lambda: Told().then(requested(), turn(), cancel()),
    "called back": lambda: Told().then(
        requested(handed_over=True, start_ms=START_MS * 2), turn(), taken(sid=SID), cancel(), recalled(True)
    ),
    "called back too late": lambda: Told().then(
        requested(handed_over=True, start_ms=START_MS * 2), turn(), taken(sid=SID), cancel(), recalled(False)
    ),
    "conflicted": lambda: Told().then(requested(), requested(fingerprint="other")),
    "asked for again": lambda: Told().then(
        requested(), msgspec.structs.replace(requested(), source="notify.requests-0-9")
    ),
    "rejected": lambda: Told().then(rejected()),
    "warned of": lambda: Told().then(msgspec.structs.replace(requested(), warnings=("media[0]: is pdf",))),
    "throttled": lambda: Told().then(requested(), turn(), refused(ErrorClass.THROTTLED, code=20429)),
    "a picture that cannot be received, the text with the link, a number that is no more, and is again": lambda: (
        Told()
        .then(
            pictured(), turn(), taken(), report(DeliveryStatus.UNDELIVERED, code=30011, error=ErrorClass.MMS_IMPOSSIBLE)
        )
        .when(DueKind.RETRY)
        .then(turn(2), taken(2))
        .then(report(DeliveryStatus.UNDELIVERED, 2, code=30006, error=ErrorClass.NUMBER_INVALID, invalid_after=1))
        .then(report(DeliveryStatus.DELIVERED, 2))
    ),
    "refused by configuration, and a probe that came through": lambda: (
        Told()
        .then(requested(), turn(), refused(ErrorClass.CONFIGURATION, code=21606))
        .when(DueKind.RETRY)
        .then(turn(2, probe=Proof.TAKEN), taken(2))
    ),
    "stopped": lambda: Told().then(
        requested(start_ms=START_MS * 2), text(Intent.STOP), text(Intent.START), text(Intent.NONE)
    ),
}


@cache
def records() -> list[tuple[str, Output, dict[str, Any]]]:
    """Every record of every life."""
    told = [(life, output) for life, lived in LIVES.items() for output in lived().outputs]
    return [(life, output, json.loads(output.value or b"")) for life, output in told]


def test_every_record_that_a_life_leads_to_holds_what_its_schema_says() -> None:
    wrong = {(life, record["type"], fault) for life, _, record in records() for fault in faults(record)}
    assert wrong == set()
    assert [record for _, output, record in records() if header_faults(record, dict(output.headers))] == []


def test_every_published_event_of_an_update_comes_about() -> None:
    assert {record["event"] for _, _, record in records() if record["type"] == "notify.updated.v1"} == set(EVENTS)


def test_these_lives_lead_to_every_type_that_the_contacts_agent_writes() -> None:
    others = ("contact.", "lane.inbound", "notify.requested", "notify.canceled", "notify.metric", "notify.deadletter")
    others += ("notify.inbound_opened", "notify.message_opened", "notify.texts_opened", "bulk.")
    assert {record["type"] for *_, record in records()} == {kind for kind in KINDS if not kind.startswith(others)}


def test_what_may_go_wrong_with_media_is_said_when_the_message_is_opened() -> None:
    warned = [(r["event"], r["warnings"]) for _, _, r in records() if "warnings" in r]
    assert warned == [("opened", ["media[0]: is pdf"])]


def test_p1_a_late_delivery_is_revision_2_of_the_same_message() -> None:
    told = [r for life, _, r in records() if "after all" in life and r["type"] == "notify.outcome.v1"]
    assert [(one["id"], one["outcome"]) for one in told] == [(f"{MESSAGE}:1", "failed"), (f"{MESSAGE}:2", "delivered")]


def test_an_opt_out_that_twilio_told_names_the_message_and_the_masked_number_and_a_text_its_own():
    refused_by_twilio = Told().then(requested(), turn(), refused(ErrorClass.OPTED_OUT, code=21610))
    reported = Told().then(
        requested(), turn(), taken(), report(DeliveryStatus.UNDELIVERED, code=21610, error=ErrorClass.OPTED_OUT)
    )
    texted = Told().then(text(Intent.STOP))
    evidence = [
        (value["source"], value["message_id"], value["message_sid"], value["masked"])
        for told in (refused_by_twilio, reported, texted)
        for value in (json.loads(output.value or b"") for output in told.outputs if output.topic == "notify.consent")
    ]
    assert evidence == [
        ("twilio_21610", MESSAGE, "", "•••0123"),
        ("twilio_21610", MESSAGE, SID, "•••0123"),
        ("keyword", "", SID, "•••0123"),
    ]


def answers(*inputs: ContactInput) -> list[tuple[str, str, str, str]]:
    """Event, record key, request id and digest of each update that answers a request."""
    told = [(json.loads(o.value or b""), o.key) for o in Told().then(*inputs).outputs if o.topic == "notify.updates"]
    return [
        (value["event"], (key or b"").decode(), value["request_id"], value.get("request_digest", ""))
        for value, key in told
        if "request_id" in value
    ]


def asked(request_id: str, source: str, **given: Any) -> ContactInput:
    fields = as_sealed("key-aaaa", request_id=request_id)
    return msgspec.structs.replace(requested(**given), sealed_caller_fields=fields, source=source)


def test_every_request_is_answered_once_by_its_id_or_its_place() -> None:
    first, again = asked("r1", "notify.requests-0-1"), asked("r2", "notify.requests-0-2")
    other = asked("", "notify.requests-0-3", fingerprint="other")
    assert answers(first, first, again, other) == [
        ("opened", MESSAGE, "r1", first.fingerprint),  # type: ignore[union-attr] # a request
        ("repeated", MESSAGE, "r2", ""),
        ("conflicted", "notify.requests-0-3", "notify.requests-0-3", ""),
    ]


@pytest.mark.parametrize(
    ("request_id", "key"),
    [
        ("deploy-742", "deploy-742"),
        ("12345678-1234-4234-8234-123456789012", "12345678-1234-4234-8234-123456789012"),
        ("12345678123442348234123456789012", "12345678123442348234123456789012"),
        ("2026-11-30", "notify.requests-0-3"),
        ("sms to +1 (415) 555-0123", "notify.requests-0-3"),
        ("4155550123", "notify.requests-0-3"),
    ],
)
def test_p8_a_conflict_is_keyed_by_the_requests_id_unless_that_may_hold_a_number(request_id: str, key: str) -> None:
    told = answers(asked("r1", "notify.requests-0-1"), asked(request_id, "notify.requests-0-3", fingerprint="other"))
    assert told[1:] == [("conflicted", key, request_id, "")]


@pytest.mark.parametrize("asking", [requested(), rejected()])
def test_p1_what_a_retired_key_sealed_is_left_out_of_update_and_outcome_which_say_so(asking: ContactInput) -> None:
    sealed = msgspec.structs.replace(asking, sealed_caller_fields="retired.AAAA")
    told = Told().then(sealed, cancel())
    values = [json.loads(output.value or b"") for output in told.outputs]
    [first] = [value for value in values if value.get("event") == "opened"]
    [outcome] = [value for value in values if value["type"] == "notify.outcome.v1"]
    assert first["request_id"] == "notify.requests-0-0" and "idempotency_key" not in first
    assert (outcome["idempotency_key"], outcome["campaign"], outcome["metadata"]) == ("", "", {})
    assert first["warnings"] == outcome["warnings"] == [LEFT_OUT]
    assert [fault for value in values for fault in faults(value)] == []


def test_a_conflict_whose_request_cannot_be_opened_is_keyed_by_its_place() -> None:
    other = msgspec.structs.replace(asked("r2", "notify.requests-0-3", fingerprint="o"), sealed_caller_fields="x.AA")
    told = answers(asked("r1", "notify.requests-0-1"), other)
    assert told[1:] == [("conflicted", "notify.requests-0-3", "notify.requests-0-3", "")]


def test_an_outcome_holds_what_its_caller_sent_along_and_no_warning() -> None:
    sealed = as_sealed("k1", "spring", order="A-17")
    told = Told().then(msgspec.structs.replace(requested(), sealed_caller_fields=sealed), cancel())
    [outcome] = [json.loads(output.value or b"") for output in told.outputs if output.topic == "notify.outcomes"]
    along = (outcome["idempotency_key"], outcome["campaign"], outcome["metadata"])
    assert along == ("k1", "spring", {"order": "A-17"}) and "warnings" not in outcome


def test_a_rejected_request_has_no_digest_to_compare_another_with() -> None:
    [(event, _, _, digest)] = answers(rejected())
    assert (event, digest) == ("opened", "")


def test_updates_of_an_attempt_name_its_message_sid() -> None:
    told = Told().then(requested(), turn(), taken(sid=SID), report(DeliveryStatus.SENT, sid=SID))
    updates = [json.loads(o.value or b"") for o in told.outputs if o.topic == "notify.updates"]
    assert {u["event"]: u["message_sid"] for u in updates if "message_sid" in u} == {"taken": SID, "progressed": SID}
