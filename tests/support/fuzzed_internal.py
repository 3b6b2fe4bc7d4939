"""Random records for the topics that only heliograph writes: noise, and its own records with a field gone wrong."""

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from tests.support.fuzzed_record import DEEP, FuzzedRecord, damaged, encode, headers, key, nested, wild_value

EXAMPLES = Path(__file__).parents[2] / "schemas" / "examples"
# By topic, the families of its types. What stands on `lanes` for a tenant that exists decides about its calls.
FAMILIES = {"contacts": "contact", "lanes": "lane", "bulk": "bulk", "notify.updates": "notify.updated"}
# What is not changed: it says what the record is, and whose.
KEPT = ("type", "pk", "tenant")
NUMBERS = [-(2**63), -1, 0, 2**31, 2**53, 253_402_300_800_000, 2**63 - 1, 2**63, 2**64]
Fields = dict[str, Any]


class FuzzedInternal:
    """`fingerprint`: of the pseudonym key, which records of `contacts` bear; a few have another one."""

    def __init__(self, rng: Random, fingerprint: str) -> None:
        self._rng, self._fingerprint, self._count = rng, fingerprint, 0
        self._examples = {topic: list(_examples(family)) for topic, family in FAMILIES.items()}

    def next(self, topic: str) -> FuzzedRecord:
        """One more for this topic."""
        self._count += 1
        rng, contact, example = self._rng, self._rng.randbytes(10).hex(), self._example(topic)
        kinds = {"noise": 2, "nested": 1, "null": 1, "damaged": 2, "changed": 6, "number": 6, "example": 2}
        [kind] = rng.choices(list(kinds), list(kinds.values()))
        value = self._value(kind, example)
        if named := _contact_of(example):  # each a contact of its own: no row is in the way of the next record
            value = None if value is None else value.replace(named.encode(), contact.encode())
        made = contact.encode() if rng.random() < 0.8 else key(rng)
        return FuzzedRecord(self._count, kind, made, value, headers(rng, any_name=False))

    def _value(self, kind: str, example: Fields) -> bytes | None:
        match kind:
            case "noise":
                return self._rng.randbytes(40)
            case "nested":
                return nested(DEEP, self._rng)
            case "null":
                return None
            case "damaged":
                return damaged(encode(example), self._rng)
            case "changed":
                return encode(self._changed(example, lambda _: True, wild_value(self._rng)))
            case "number":
                return encode(self._changed(example, lambda held: type(held) is int, self._rng.choice(NUMBERS)))
        return encode(example)

    def _example(self, topic: str) -> Fields:
        tenant = self._rng.choice(["gone", ""]) if topic == "lanes" else "acme"
        example = dict(self._rng.choice(self._examples[topic]))
        [fingerprint] = self._rng.choices([self._fingerprint, "00000000"], [20, 1])
        return {**example, "tenant": tenant} | ({"pk": fingerprint} if "pk" in example else {})

    def _changed(self, example: Fields, may_change: Callable[[Any], bool], value: Any) -> Fields:
        """One field anywhere in it that may change has another value; none where there is none such."""
        whole = msgspec.json.decode(msgspec.json.encode(example))
        places = [(inside, name) for inside, name in _places(whole) if name not in KEPT and may_change(inside[name])]
        if places:
            inside, name = self._rng.choice(places)
            inside[name] = value
        return dict(whole)


def _contact_of(example: Fields) -> str:
    named = example.get("message_id") or next(iter(example.get("message_ids", ())), "")
    return str(named).partition("-")[0]


def _examples(family: str) -> Any:
    for path in sorted(EXAMPLES.glob(f"{family}.*.json")):
        yield from msgspec.json.decode(path.read_bytes()).values()


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every object or array in it, with each of its names or indexes."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = [(value, name) for name, _ in inside]
    for held in list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else ():
        found += _places(held)
    return found
