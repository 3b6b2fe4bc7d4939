"""The demo's cast: who is written to, what, and who will text STOP. Reproducible by seed; numbers of fiction only."""

import random
from datetime import UTC, datetime
from typing import Any

import msgspec

# Every area code has 555-0100 to 555-0199 kept for fiction (NANPA); N11 and N9X are no area codes.
# Without 500, whose numbers misbehave in the simulator (`simulator/scripts.py`).
AREAS = tuple(area for area in range(201, 990) if area % 100 != 11 and area // 10 % 10 != 9 and area != 500)
IMPOSSIBLE = 0.02
STOPPERS = 0.05
TWICE = 0.02


class DemoMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One message of the demo. `again`: produced a second time with the same key."""

    key: str
    to: str
    body: str
    possible: bool
    again: bool


class DemoData(msgspec.Struct, frozen=True, kw_only=True):
    """`first` is produced, then the `stoppers` text STOP, then `second` is produced."""

    first: list[DemoMessage]
    second: list[DemoMessage]
    stoppers: list[str]


def number(index: int) -> str:
    """The index-th number of fiction: +1 NPA 555 01xx."""
    return f"+1{AREAS[index // 100 % len(AREAS)]}55501{index % 100:02d}"


def cast(messages: int, seed: int) -> DemoData:
    """Each person gets a first and a second message; a share of the numbers are impossible."""
    rng = random.Random(seed)  # noqa: S311 - a reproducible cast, no secret
    people = [number(i) for i in rng.sample(range(len(AREAS) * 100), min(len(AREAS) * 100, max(1, messages // 2)))]
    lines = [_line(rng, i, people[i % len(people)], seed) for i in range(messages)]
    half = messages // 2
    stoppers = rng.sample(people, max(1, int(len(people) * STOPPERS)))
    return DemoData(first=lines[:half], second=lines[half:], stoppers=stoppers)


def _line(rng: random.Random, index: int, person: str, seed: int) -> DemoMessage:
    possible = rng.random() >= IMPOSSIBLE
    body = f"Build {rng.randrange(1000, 9999)} of shop {index} is deployed. " + "All green. " * rng.choice(
        (0, 0, 1, 16)
    )
    to = person if possible else person[:7]
    return DemoMessage(key=f"demo-{seed}-{index}", to=to, body=body, possible=possible, again=rng.random() < TWICE)


def request(line: DemoMessage, expires_s: float) -> dict[str, Any]:
    """The notify event of a line."""
    return {
        "type": "notify.requested.v1",
        "to": line.to,
        "body": line.body,
        "idempotency_key": line.key,
        "expires_at": datetime.fromtimestamp(expires_s, UTC).isoformat(),
        "campaign": "demo",
    }
