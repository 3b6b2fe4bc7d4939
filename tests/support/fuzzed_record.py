"""One random record, and the random parts that any record may have: keys, headers, values that no schema allows."""

import json
from random import Random
from typing import Any, NamedTuple

from app.records.dead_letters import RETRY_OF
from app.records.envelope import Headers

# In every text, key and header that a producer made up: what must be in no log line and in clear on no topic of ours.
CANARY = "xq7-kanarie"
NUMBERS = [f"+1212555{number:04d}" for number in range(100, 500)]
DEEP = 20_000
# JSON that no Python value gives; stands in a text until it is encoded.
RAW = "@raw:"
RAW_JSON = ["1e400", "-0", "1" * 400, "1E+2", '"\\ud83d"', '"\\u0000"', "NaN", "[" * 90 + "]" * 90, '{"a":1,"a":2}']


class FuzzedRecord(NamedTuple):
    """A record to produce. `messages`: how many messages the request must become if it is read, None: any number.

    `number` is its own; the body of a request that was not damaged names it ("Fuzz 17 ").
    """

    number: int
    kind: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    messages: int | None = None


def encode(value: Any) -> bytes:
    """JSON, with raw pieces put in and lone surrogates as escapes."""
    text = json.dumps(value, ensure_ascii=True)
    for raw in RAW_JSON:
        text = text.replace(json.dumps(RAW + raw), raw)
    return text.encode()


def wild_value(rng: Random) -> Any:
    """Something that hardly any field may hold."""
    return rng.choice(
        [None, True, 0, -1, 2**63, 2**64, -(2**70), 1.5, 1e308, "", " ", "x" * 5000, "\x00", "\ud800", "+1212", "\U0001f600" * 300,
         [], [[]], {}, {"a": None}, ["x"] * 1500, "9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00+14:00", "10^9", [None] * 3,
         CANARY, *(RAW + raw for raw in RAW_JSON)]
    )  # fmt: skip


def nested(depth: int, rng: Random) -> bytes:
    """JSON that nests so deep, closed or not."""
    opening, closing = rng.choice([("[", "]"), ('{"a":', "}")])
    return (opening * depth + "1" + closing * (depth if rng.random() < 0.5 else 0)).encode()


def key(rng: Random) -> bytes | None:
    """Null, empty, a text, or bytes of up to 8 kB."""
    kinds = [lambda: None, lambda: b"", lambda: f"{CANARY}-{rng.randrange(50)}".encode(),
             lambda: rng.randbytes(rng.choice([1, 16, 200])), lambda: rng.randbytes(rng.randrange(1_000, 8_000))]  # fmt: skip
    return rng.choices(kinds, [5, 1, 5, 2, 0.3])[0]()


def headers(rng: Random, *, any_name: bool) -> Headers:
    """Anything that Kafka takes. `any_name`: also names that are not UTF-8, which librdkafka and aiokafka cannot write."""
    kinds = [
        list,
        lambda: [(CANARY, None), ("h", None), ("h", b""), ("h", CANARY.encode()), ("", b"")],
        lambda: [(f"h{n % 7}", rng.randbytes(rng.randrange(20))) for n in range(rng.choice([1, 3, 40, 500]))],
        lambda: [("big", rng.randbytes(rng.randrange(1, 60_000)))],
        lambda: [(RETRY_OF, rng.choice([None, b"", b"a-b", rng.randbytes(40), b"x" * 300 + b"-1-2", b"t-1-" + b"9" * 30]))],
        lambda: [("traceparent", rng.choice([None, rng.randbytes(9), b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01"]))],
        lambda: [("ce_id", None), ("ce_type", b"\xff"), ("ce_time", b"yesterday")],
        lambda: [(rng.randbytes(6).decode("utf-8", "surrogateescape"), b"1"), ("\udcff", None), ("ce_\udcff", b"1")],
    ]  # fmt: skip
    return rng.choices(kinds, [12, 2, 2, 0.4, 1, 1, 1, 9 if any_name else 0])[0]()


def damaged(value: bytes, rng: Random) -> bytes:
    """Cut, with bytes changed, put in or taken out, or in another encoding."""
    at = rng.randrange(len(value)) if value else 0
    return rng.choice(
        [value[:at], value[at:], value + value, value[:at] + rng.randbytes(3) + value[at:], value[:at] + value[at + 2 :],
         value.decode("utf-8", "replace").encode("utf-16"), value[:at] + b"\xff" + value[at + 1 :], b"\0" + value, value + b"\0",
         b"\xef\xbb\xbf" * 2 + value, b"\0\0\0\0" + value]
    )  # fmt: skip
