"""Random records for the topics that only heliograph writes: noise, and its own records with a field gone wrong."""

from pathlib import Path
from random import Random
from typing import Any

import msgspec

from tests.support.fuzzed_record import FuzzedRecord, damaged, encode, headers, key, nested, wild_value

EXAMPLES = Path(__file__).parents[2] / "schemas" / "examples"
# By topic, the families of its types. What stands on `lanes` for a tenant that exists decides about its calls.
FAMILIES = {"contacts": "contact", "lanes": "lane", "bulk": "bulk", "notify.updates": "notify.updated"}


class FuzzedInternal:
    """`fingerprint`: of the pseudonym key, which all records of `contacts` bear."""

    def __init__(self, rng: Random, fingerprint: str) -> None:
        self._rng, self._fingerprint, self._count = rng, fingerprint, 0
        self._examples = {topic: list(_examples(family)) for topic, family in FAMILIES.items()}

    def next(self, topic: str) -> FuzzedRecord:
        """One more for this topic."""
        self._count += 1
        rng = self._rng
        kind = rng.choices(["noise", "nested", "null", "damaged", "changed", "example"], [2, 1, 1, 2, 6, 2])[0]
        example = self._example(topic)
        values = {"noise": rng.randbytes(40), "nested": nested(20_000, rng), "null": None, "example": encode(example),
                  "damaged": damaged(encode(example), rng), "changed": encode(self._changed(example))}  # fmt: skip
        named = str(example.get("message_id", "")).partition("-")[0].encode()
        made = named if named and rng.random() < 0.7 else key(rng)
        return FuzzedRecord(self._count, kind, made, values[kind], headers(rng, any_name=False))

    def _example(self, topic: str) -> dict[str, Any]:
        tenant = self._rng.choice(["gone", ""]) if topic == "lanes" else "acme"
        example = dict(self._rng.choice(self._examples[topic]))
        return {**example, "tenant": tenant} | ({"pk": self._fingerprint} if "pk" in example else {})

    def _changed(self, example: dict[str, Any]) -> dict[str, Any]:
        """One field anywhere in it is another value."""
        whole = msgspec.json.decode(msgspec.json.encode(example))
        places = [place for place in _places(whole) if place[1] not in ("type", "pk", "tenant")]
        inside, name = self._rng.choice(places)
        inside[name] = wild_value(self._rng)
        return dict(whole)


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
