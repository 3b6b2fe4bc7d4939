"""Changes to recorded chaos evidence. Each helper raises if there was nothing to change."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import orjson

from ops.chaos.evidence import Evidence, Record, attempt_of

Test = Callable[[dict[str, Any]], bool]
Change = Callable[[dict[str, Any]], dict[str, Any]]


def anything(_value: dict[str, Any]) -> bool:
    """Whatever it is."""
    return True


def having(**fields: Any) -> Test:
    """Values with these fields."""
    return lambda value: all(value.get(name) == wanted for name, wanted in fields.items())


def setting(**fields: Any) -> Change:
    """The value with these fields."""
    return lambda value: {**value, **fields}


def rewritten(record: Record, value: dict[str, Any]) -> Record:
    """The record with another value."""
    return record._replace(raw=orjson.dumps(value), value=value)


class ChangedStory:
    """A copy of evidence that changes. `most`: so many at most, in order."""

    def __init__(self, seen: Evidence) -> None:
        self.topics = {name: list(records) for name, records in seen.topics.items()}
        self.creates, self.diary, self._seen = list(seen.creates), list(seen.diary), seen

    def evidence(self) -> Evidence:
        """As it is now."""
        return replace(self._seen, topics=self.topics, creates=self.creates, diary=self.diary)

    def values(self, topic: str, test: Test = anything) -> list[dict[str, Any]]:
        """Values of a topic."""
        return [record.value for record in self.topics[topic] if record.value is not None and test(record.value)]

    def drop(self, topic: str, test: Test = anything, most: int = 1 << 30) -> None:
        """Lose records."""
        self.edit(topic, test, None, most)

    def edit(self, topic: str, test: Test, change: Change | None, most: int = 1 << 30) -> None:
        """Change records, or lose them."""
        kept, done = list[Record](), 0
        for record in self.topics[topic]:
            if record.value is None or done >= most or not test(record.value):
                kept.append(record)
                continue
            done += 1
            kept += [] if change is None else [rewritten(record, change(record.value))]
        assert done, f"nothing to change on {topic}"
        self.topics[topic] = kept

    def add(self, topic: str, test: Test, change: Change) -> None:
        """One more record, made from the last one that fits, behind all others of its partition."""
        model = [record for record in self.topics[topic] if record.value is not None and test(record.value)][-1]
        assert model.value is not None
        last = max(record.offset for record in self.topics[topic] if record.partition == model.partition)
        added = rewritten(model, change(model.value))._replace(offset=last + 1)
        self.topics[topic] = sorted([*self.topics[topic], added], key=lambda record: record[:2])

    def told(self, did: str, **fields: Any) -> list[dict[str, Any]]:
        """Lines of the diary."""
        return [entry for entry in self.diary if entry["did"] == did and having(**fields)(entry)]

    def tell(self, test: Test, change: Change | None, most: int = 1 << 30) -> None:
        """Change lines of the diary, or lose them."""
        kept, done = list[dict[str, Any]](), 0
        for entry in self.diary:
            if done >= most or not test(entry):
                kept.append(entry)
                continue
            done += 1
            kept += [] if change is None else [change(entry)]
        assert done, "nothing to change in the diary"
        self.diary = kept

    def take(self, test: Test, change: Change | None, most: int = 1 << 30) -> None:
        """Change creates of the ledger, or lose them."""
        kept, done = list[dict[str, Any]](), 0
        for create in self.creates:
            if done >= most or not test(create):
                kept.append(create)
                continue
            done += 1
            kept += [] if change is None else [change(create)]
        assert done, "nothing to change in the ledger"
        self.creates = kept

    def never_sent(self, messages: Iterable[str]) -> None:
        """As if these messages had never got a turn, and had expired without an attempt."""
        gone = set(messages)
        self.take(lambda create: attempt_of(create)[0] in gone, None)
        wire = ("called", "answered", "webhook", "reporting")
        self.tell(lambda entry: entry["did"] in wire and entry.get("message_id") in gone, None)
        later = ("contact.turn_granted.v1", "contact.answered.v1", "contact.reported.v1")
        self.drop("contacts", lambda value: value.get("message_id") in gone and value["type"] in later)
        self.drop(
            "updates", lambda value: value.get("message_id") in gone and value.get("event") not in ("opened", "stage")
        )
        outcomes = self.topics["outcomes"]
        later_ones = [record for record in outcomes if record.value and record.value["revision"] > 1]
        self.topics["outcomes"] = [r for r in outcomes if r not in later_ones or r.key not in gone]
        expired = setting(outcome="expired", reason="expired", attempts=[], error_code=None)
        self.edit("outcomes", lambda value: value["message_id"] in gone, expired)
