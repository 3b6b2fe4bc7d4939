"""Random records for `notify.requests`, the same for the same seed: from requests that must be texted to noise."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from app.records.dead_letters import RETRY_OF
from tests.support.fuzzed_record import (
    CANARY,
    DEEP,
    NUMBERS,
    RAW,
    RAW_JSON,
    FuzzedRecord,
    damaged,
    encode,
    headers,
    key,
    nested,
    wild_value,
)

Fields = dict[str, Any]
FAR = timedelta(days=20)


class FuzzedRequests:
    """Makes one record after another. `begun`: what times in requests are counted from."""

    def __init__(self, rng: Random, tenant: str, begun: datetime) -> None:
        self._rng, self._tenant, self._begun = rng, tenant, begun
        self._count = 0
        self._kinds: dict[str, tuple[float, Callable[[], FuzzedRecord]]] = {
            "valid": (40, self._valid),
            "wrapped": (8, self._wrapped),
            "retried": (2, self._retried),
            "changed": (20, lambda: self._plain(encode(self._changed()))),
            "damaged": (10, lambda: self._plain(damaged(encode(self._request()[0]), rng))),
            "cancel": (6, lambda: self._plain(encode(self._cancel()))),
            "stranger": (2, lambda: self._plain(encode({**self._request()[0], "tenant": rng.choice(["nobody", "\ud800"])}))),
            "noise": (6, lambda: self._plain(rng.randbytes(rng.choice([0, 1, 4, 5, 6, 100, 3000])))),
            "raw": (2, lambda: self._plain(rng.choice(RAW_JSON).encode())),
            "nested": (4, lambda: self._plain(self._deep())),
            "null": (2, lambda: self._plain(None)),
        }  # fmt: skip

    def next(self, *, any_name: bool = False) -> FuzzedRecord:
        """One more. `any_name`: its headers may have names that are not UTF-8."""
        self._count += 1
        kind = self._rng.choices(list(self._kinds), [weight for weight, _ in self._kinds.values()])[0]
        made = self._kinds[kind][1]()._replace(kind=kind)
        more = headers(self._rng, any_name=any_name)
        if made.messages is not None:  # what decides about the request stays as it is
            more = [h for h in more if h[0] != RETRY_OF and not h[0].startswith("ce_")]
        return made._replace(headers=[*made.headers, *more])

    def large(self) -> FuzzedRecord:
        """One that is refused for its size, or nearly; what inflates from little is here, too."""
        self._count += 1
        rng, size = self._rng, self._rng.choice([880_000, 900_001, 1_500_000, 2_090_000, 6_000_000])
        request, _ = self._request()
        value = rng.choice(
            [bytes(size), rng.randbytes(min(size, 2_090_000)), encode({**request, "body": CANARY + "x" * size}),
             encode({**request, "to": [f"+1212555{n:04d}" for n in range(rng.choice([1_001, 60_000]))]}),
             encode({**request, "metadata": {f"k{n}": "v" * 400 for n in range(size // 410)}}),
             encode({**request, "media": ["https://example.com/" + "m" * (size // 2)]})]
        )  # fmt: skip
        around = rng.choice(
            [[], [("h" * 30_000, bytes(size // 8))], [("", None)] * self._rng.choice([101, 1_000, 1_001, 20_000])]
        )
        return self._plain(value)._replace(kind="large", headers=around)

    def _plain(self, value: bytes | None) -> FuzzedRecord:
        return FuzzedRecord(self._count, "", key(self._rng), value, [])

    def _valid(self) -> FuzzedRecord:
        fields, messages = self._request()
        return self._plain(encode(fields))._replace(messages=messages)

    def _retried(self) -> FuzzedRecord:
        """As if it were a retry of a record of another topic, which it cannot be."""
        return self._valid()._replace(headers=[(RETRY_OF, f"elsewhere-0-{self._count}".encode())])

    def _wrapped(self) -> FuzzedRecord:
        fields, messages = self._request()
        made = self._plain(encode(fields))._replace(messages=messages)
        event = {"specversion": "1.0", "id": f"e{self._count}", "source": "fuzz", "type": fields["type"]}
        binary = [(f"ce_{name}", value.encode()) for name, value in event.items()]
        return self._rng.choice(
            [
                made._replace(value=b"\xef\xbb\xbf" + (made.value or b"")),
                made._replace(value=b"\0\0\0\0\x07" + (made.value or b"")),
                made._replace(value=encode({**event, "data": fields})),
                made._replace(headers=binary),
            ]
        )

    def _request(self) -> tuple[Fields, int]:
        """The fields of a request that breaks no rule, and how many messages it asks for."""
        rng, count = self._rng, self._rng.choices([1, self._rng.randint(2, 6), 21], [90, 9, 0.5])[0]
        people = rng.sample(NUMBERS, count)
        fields: Fields = {
            "type": "notify.requested.v1",
            "tenant": self._tenant,
            "to": people[0] if count == 1 and rng.random() < 0.8 else people,
            "body": f"Fuzz {self._count} {CANARY} {rng.choice(['', 'ä€𝄞', 'x' * rng.randrange(1500), chr(0xD800)])}",
        }
        for name, value in self._optional(rng).items():
            if rng.random() < 0.15:
                fields[name] = value
        return fields, count

    def _optional(self, rng: Random) -> Fields:
        own = f"k{self._count}"
        return {
            "id": f"id{self._count}",
            "at": self._at(timedelta(0)),
            "idempotency_key": own if rng.random() < 0.8 else f"k{rng.randrange(1, self._count + 1)}",
            "media": [f"https://example.com/{n}.png" for n in range(rng.randrange(1, 11))],
            "category": rng.choice(["otp", "transactional", "alert", "marketing"]),
            "priority": rng.choice(["urgent", "normal", "bulk"]),
            "sender": "main",
            "send_at": self._at(rng.choice([-FAR, timedelta(0), timedelta(0), FAR])),
            "expires_at": self._at(rng.choice([FAR * 2, timedelta(days=2000), FAR * 40])),
            "campaign": "spring",
            "metadata": {f"m{n}": "v" * 30 for n in range(rng.randrange(20))},
            "unknown": rng.choice([None, {"a": [1]}, RAW + "1e400", RAW + "1" * 400, "\ud800"]),
        }

    def _at(self, after: timedelta) -> str:
        return (self._begun + after).astimezone(UTC).isoformat()

    def _changed(self) -> Fields:
        """A request of which one field or two are not as they should be."""
        rng, (fields, _) = self._rng, self._request()
        for _ in range(rng.choice([1, 1, 2])):
            name = rng.choice([*fields, *self._optional(rng), "media_fallback"])
            fields[name] = wild_value(rng)
            if rng.random() < 0.1:
                del fields[name]
        return fields

    def _cancel(self) -> Fields:
        rng = self._rng
        name = "".join(rng.choice("0123456789abcdef") for _ in range(20))
        fields: Fields = {"type": "notify.canceled.v1", "tenant": self._tenant, "message_id": f"{name}-{name[::-1]}"}
        if rng.random() < 0.3:
            fields[rng.choice([*fields, "id", "at"])] = wild_value(rng)
        return fields

    def _deep(self) -> bytes:
        rng, deep = self._rng, nested(self._rng.choice([1_000, DEEP]), self._rng)
        whole = encode({**self._request()[0], "unknown": "@deep"})
        return rng.choice([deep, whole.replace(b'"@deep"', deep), b'{"specversion":"1.0","data":' + deep + b"}"])
