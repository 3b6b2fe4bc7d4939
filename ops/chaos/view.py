"""Evidence as the oracle's rules look things up in it, each index made once. Pure.

Three witnesses of one run: what the harness asked for and saw on the wire (its diary), what the simulator took (its
ledger of creates), and what the product says (its topics). Topic `contacts` gives the order of inputs; that the inputs
themselves are true is checked against the first two.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, NamedTuple

from ops.chaos.consent import Consent
from ops.chaos.diary import Entry
from ops.chaos.evidence import Attempt, Evidence, Record, attempt_of

Place = tuple[int, int]  # partition and offset on topic `contacts`


class Asked(NamedTuple):
    """One message as the harness asked for it. Times in ms since the epoch; `start_ms` 0: at once."""

    message_id: str
    key: str
    tenant: str
    to: str
    body: str
    lane: str
    priority: str
    campaign: str
    start_ms: int
    expires_ms: int
    at_ms: int


class Text(NamedTuple):
    """One accepted create. `fates`: final statuses that Twilio's side gave it, with their error codes (0: none)."""

    sid: str
    attempt: Attempt
    to: str
    body: str
    at_ms: int
    fates: frozenset[tuple[str, int]]


FINAL = ("delivered", "undelivered", "failed", "read")


class View:
    """See the module."""

    def __init__(self, seen: Evidence) -> None:
        self.seen = seen

    @cached_property
    def asked(self) -> dict[str, Asked]:
        """By message id: what the harness asked for, acknowledged or not."""
        return {one.message_id: one for entry in self.seen.told("asking") for one in _asked(entry)}

    @cached_property
    def texts(self) -> dict[str, list[Text]]:
        """By message id: what Twilio took, in order."""
        fates = self._fates
        found: defaultdict[str, list[Text]] = defaultdict(list)
        for create in self.seen.creates:
            attempt, sid = attempt_of(create), create["sid"]
            known = fates[sid] | {(create["status"], create["error_code"] or 0)}
            final = frozenset(fate for fate in known if fate[0] in FINAL)
            at_ms = int(create["created_at"] * 1000)
            found[attempt[0]].append(Text(sid, attempt, create["to"], create["body"], at_ms, final))
        return dict(found)

    @cached_property
    def _fates(self) -> defaultdict[str, set[tuple[str, int]]]:
        found: defaultdict[str, set[tuple[str, int]]] = defaultdict(set)
        for entry in self.seen.told("reporting"):
            found[entry["sid"]].add((entry["status"], entry["code"]))
        return found

    @cached_property
    def by_sid(self) -> dict[str, Text]:
        """Every accepted create by its SID."""
        return {text.sid: text for texts in self.texts.values() for text in texts}

    @cached_property
    def refused(self) -> dict[Place, str]:
        """Places of inputs that have a dead letter, and so were not folded, with the rule that they broke."""
        prefix, found = f"{self.seen.prefix}contacts-", dict[Place, str]()
        for value in (record.value or {} for record in self.seen.topics["deadletters"]):
            source = str(value.get("source", ""))
            if source.startswith(prefix):
                partition, offset = source.removeprefix(prefix).split("-")
                # The first one: what was done with a dead letter names its source, too.
                found.setdefault((int(partition), int(offset)), str(value.get("rule", "")))
        return found

    def was_set_aside(self, place: Place) -> bool:
        """Whether the input ended the process again and again, or Kafka refused an output of it."""
        return self.refused.get(place, "").startswith("set aside: ")

    @cached_property
    def inputs(self) -> dict[Place, Record]:
        """Every input that was folded, by its place."""
        records = self.seen.topics["contacts"]
        found = {(record.partition, record.offset): record for record in records if record.value}
        return {place: record for place, record in found.items() if place not in self.refused}

    @cached_property
    def logs(self) -> dict[str, list[Record]]:
        """By contact: the inputs that were folded, in order."""
        found: defaultdict[str, list[Record]] = defaultdict(list)
        for record in self.inputs.values():
            found[record.key].append(record)
        return dict(found)

    @cached_property
    def histories(self) -> dict[str, list[Record]]:
        """By message id: the inputs that name it, in order."""
        found: defaultdict[str, list[Record]] = defaultdict(list)
        for record in self.inputs.values():
            value = record.value or {}
            for name in value.get("message_ids") or (value.get("message_id"),):
                if name:
                    found[name].append(record)
        return dict(found)

    @cached_property
    def outcomes(self) -> dict[str, list[dict[str, Any]]]:
        """By message id: its outcomes, each id once, by revision."""
        found = _by_message(self.seen.topics["outcomes"])
        return {name: sorted(values, key=lambda value: value["revision"]) for name, values in found.items()}

    @cached_property
    def updates(self) -> dict[str, list[dict[str, Any]]]:
        """By message id: its updates, each id once, in the order of their causes."""
        told = (record for record in self.seen.topics["updates"] if record.kind == "notify.updated.v1")
        found = _by_message(told)
        return {name: sorted(values, key=cause_of) for name, values in found.items()}

    @cached_property
    def numbers(self) -> dict[str, list[dict[str, Any]]]:
        """By contact: what was told of its number, in order."""
        found: defaultdict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
        for record in self.seen.topics["updates"]:
            if record.kind == "notify.number_changed.v1" and record.value:
                found[record.value["contact_id"]].setdefault(record.value["id"], record.value)
        return {contact: sorted(values.values(), key=cause_of) for contact, values in found.items()}

    @cached_property
    def consents(self) -> dict[str, Consent]:
        """By contact: consent, by the harness's own reckoning."""
        return {contact: Consent(records) for contact, records in self.logs.items()}

    @cached_property
    def promises(self) -> Mapping[str, str]:
        """By idempotency key: what was promised of a record that was produced as poison."""
        return {entry["key"]: entry["promise"] for entry in self.seen.told("produced")}

    def until(self, message_id: str, place: Place) -> list[Record]:
        """The inputs of a message up to a place."""
        return [record for record in self.histories.get(message_id, ()) if record.offset <= place[1]]


def cause_of(value: Mapping[str, Any]) -> tuple[int, int, int]:
    """Partition, offset and index of what a record on a notify topic says of its cause."""
    cause = value["cause"]
    return cause["partition"], cause["offset"], cause["index"]


def errors_of(record: Record) -> set[str]:
    """Error classes that an answer, a report or texts on Twilio's list have."""
    value = record.value or {}
    return {str(told["error"]) for told in (value, *value.get("texts", ())) if told.get("error")}


def statuses_of(record: Record) -> set[str]:
    """Twilio's words for texts, in a report or on its list."""
    value = record.value or {}
    return {str(told["status"]) for told in (value, *value.get("texts", ())) if told.get("status")}


def contact_of(message_id: str) -> str:
    """The contact's part of a message id."""
    return message_id.partition("-")[0]


def _asked(entry: Entry) -> Iterable[Asked]:
    same = {name: entry[name] for name in ("key", "tenant", "body", "lane", "priority", "campaign")}
    times = {"start_ms": entry["start_ms"], "expires_ms": entry["expires_ms"], "at_ms": entry["at"]}
    for recipient in entry["recipients"]:
        yield Asked(message_id=recipient["message_id"], to=recipient["to"], **same, **times)


def _by_message(records: Iterable[Record]) -> dict[str, list[dict[str, Any]]]:
    found: defaultdict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for record in records:
        if record.value:
            found[record.value["message_id"]].setdefault(record.value["id"], record.value)
    return {name: list(values.values()) for name, values in found.items()}
