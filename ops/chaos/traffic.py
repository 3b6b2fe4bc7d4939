"""What the steady load asks for: requests of two tenants on two lanes each, to one person or several, some with media,
some for later. Seeded; who asks, and what is acknowledged, is in `load`."""

import random
import time
from datetime import UTC, datetime
from typing import Any

from app.dev.demo_data import number
from ops.chaos.deadlines import Deadlines
from ops.chaos.tenants_file import DEFAULT, LANES, SECOND

# A contact's row holds all its messages of a day: few messages each keep rows as small as in real life.
PEOPLE, WOBBLERS = 4000, 24
CATEGORIES = ("transactional", "transactional", "otp", "alert", "marketing")
SECOND_SHARE, WOBBLER_SHARE = 0.25, 0.3
LIST_SHARE, MEDIA_SHARE, LATER_SHARE = 0.04, 0.06, 0.1
MOST_LISTED = 4
LATER_S = (2.0, 8.0)
PICTURE = "https://media.example.com/{}.png"


class Traffic:
    """See the module."""

    def __init__(self, deadlines: Deadlines, rng: random.Random) -> None:
        self._expires_s, self._rng = deadlines.expires, rng
        self._count = 0

    def event(self, **given: Any) -> dict[str, Any]:
        """The next request; `given`: fields that it must have."""
        self._count += 1
        rng, now = self._rng, time.time()
        tenant = given.get("tenant") or (SECOND if rng.random() < SECOND_SHARE else DEFAULT)
        category = given.get("category") or rng.choice(CATEGORIES)
        return {
            "type": "notify.requested.v1",
            "tenant": tenant,
            "to": self._recipients(),
            "body": f"Build {self._count} is deployed.",
            "idempotency_key": f"chaos-{self._count}",
            "category": category,
            "priority": "urgent" if category == "otp" else "normal",
            "sender": rng.choice(LANES[tenant]),
            "expires_at": _time(now + self._expires_s),
            **({"media": [PICTURE.format(self._count)]} if rng.random() < MEDIA_SHARE else {}),
            **({"send_at": _time(now + rng.uniform(*LATER_S))} if rng.random() < LATER_SHARE else {}),
            **given,
        }

    def _recipients(self) -> str | list[str]:
        if self._rng.random() >= LIST_SHARE:
            return self._person()
        return sorted({self._person() for _ in range(self._rng.randint(2, MOST_LISTED))})

    def _person(self) -> str:
        wobbly = self._rng.random() < WOBBLER_SHARE
        return number(self._rng.randrange(WOBBLERS) if wobbly else WOBBLERS + self._rng.randrange(PEOPLE))


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
