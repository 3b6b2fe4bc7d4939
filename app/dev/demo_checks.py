"""The judge: what the simulator took and what the topics say, held against what was asked. No worker code in it."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urldefrag, urlsplit

import msgspec
import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

Seen = list[tuple[int, int, int, dict[str, Any]]]  # partition, offset, log time in ms, value
Attempt = tuple[str, int]  # message id, number
FAILED, UNDELIVERED = 6, 7  # as topic `contacts` has progress
SHARES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
PROMISES = ("duplicate_creates", "missing_outcomes", "duplicate_outcomes", "sends_after_stop")


async def read_all(topic: str, client: Mapping[str, Any]) -> Seen:
    """Every record of a topic as it stands now."""
    consumer = AIOKafkaConsumer(enable_auto_commit=False, auto_offset_reset="earliest", **client)
    await consumer.start()
    try:
        await consumer._client.add_topic(topic)
        places = [TopicPartition(topic, n) for n in consumer.partitions_for_topic(topic) or ()]
        ends = await consumer.end_offsets(places)
        consumer.assign(places)
        seen: Seen = []
        while any([await consumer.position(place) < ends[place] for place in places]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                seen += [(r.partition, r.offset, r.timestamp, _value(r)) for r in records if r.value]
        return seen
    finally:
        await consumer.stop()


def _value(record: Any) -> dict[str, Any]:
    """The value, with the record's key under `key`."""
    return {**orjson.loads(record.value), "key": (record.key or b"").decode("utf-8", "replace")}


class DemoLog(msgspec.Struct):
    """What topic `contacts` says: the first STOP of each contact (offset, log time in ms), and by attempt the offset
    of its first turn and of its first report of failure."""

    stops: dict[str, tuple[int, int]] = {}
    turns: dict[Attempt, int] = {}
    failures: dict[Attempt, int] = {}
    answered: set[Attempt] = set()

    @classmethod
    def read(cls, contacts: Seen) -> "DemoLog":
        """From the records of the topic, in any order."""
        log = cls()
        for _, offset, at, value in sorted(contacts, key=lambda row: row[:2]):
            kind, attempt = value["type"], (value.get("message_id", ""), value.get("attempt", 0))
            if kind == "contact.texted.v1" and value["intent"] == "stop":
                log.stops.setdefault(value["key"], (offset, at))
            elif kind == "contact.turn_granted.v1":
                log.turns.setdefault(attempt, offset)
            elif kind == "contact.answered.v1" and value["answer"] != "abandoned":
                log.answered.add(attempt)
            elif kind == "contact.reported.v1" and value["progress"] in (FAILED, UNDELIVERED):
                log.failures.setdefault(attempt, offset)
        return log


def attempt_of(create: Mapping[str, Any]) -> Attempt:
    """Message id and attempt number in a create's StatusCallback."""
    query = parse_qs(urlsplit(urldefrag(str(create["status_callback"]))[0]).query)
    return query.get("m", [""])[0], int(query.get("a", ["0"])[0])


def summary(
    asked: Mapping[str, float], outcomes: Seen, creates: list[dict[str, Any]], contacts: Seen, claim_ttl_s: float
) -> dict[str, Any]:
    """`asked`: idempotency key to the unix time (s) it was asked. All else as read; see the demo's --json."""
    log = DemoLog.read(contacts)
    firsts = {value["message_id"]: (at, value) for _, _, at, value in reversed(outcomes) if value["revision"] == 1}
    keys = {value["idempotency_key"]: message for message, (_, value) in firsts.items()}
    created = {attempt_of(create)[0]: create["created_at"] for create in reversed(creates)}
    to_create = [created[keys[k]] - at for k, at in asked.items() if k in keys and keys[k] in created]
    to_outcome = [firsts[keys[k]][0] / 1000 - at for k, at in asked.items() if k in keys]
    return {
        "messages": len(asked),
        "outcomes": last_words(outcomes),
        "creates": len(creates),
        "duplicate_creates": duplicate_creates(creates, log),
        "missing_outcomes": len(set(asked) - set(keys)),
        "duplicate_outcomes": duplicate_outcomes(outcomes),
        "sends_after_stop": sends_after_stop(creates, log, claim_ttl_s),
        "messages_per_second": 0.0,
        "latency_ms": {"request_to_create": percentiles(to_create), "request_to_outcome": percentiles(to_outcome)},
    }


def kept(result: Mapping[str, Any]) -> bool:
    """Whether every promise that can be checked held."""
    return not any(result[name] for name in PROMISES)


def last_words(outcomes: Seen) -> dict[str, int]:
    """How many messages ended with which word, by the highest revision of each."""
    words: dict[str, tuple[int, str]] = {}
    for *_, value in outcomes:
        words[value["message_id"]] = max(words.get(value["message_id"], (0, "")), (value["revision"], value["outcome"]))
    return dict(Counter(word for _, word in words.values()))


def duplicate_outcomes(outcomes: Seen) -> int:
    """Repeats of one id, and further messages of one idempotency key (each key of the demo names one recipient)."""
    ids = Counter(value["id"] for *_, value in outcomes)
    messages = defaultdict(set)
    for *_, value in outcomes:
        messages[value["idempotency_key"]].add(value["message_id"])
    return sum(ids.values()) - len(ids) + sum(len(found) - 1 for found in messages.values())


def duplicate_creates(creates: list[dict[str, Any]], log: DemoLog) -> int:
    """Creates of one text to one person beyond the first, unless each create before it had been reported a failure
    on the log when its own turn was granted."""
    before: defaultdict[tuple[str, str], list[Attempt]] = defaultdict(list)
    doubled = 0
    for create in creates:
        attempt, earlier = attempt_of(create), before[create["to"], create["body"]]
        turn = log.turns.get(attempt, -1)
        doubled += any(log.failures.get(one, turn) >= turn or one == attempt for one in earlier)
        earlier.append(attempt)
    return doubled


def sends_after_stop(creates: list[dict[str, Any]], log: DemoLog, claim_ttl_s: float) -> int:
    """Attempts that were called though their turn lies after a STOP on the contact's log, or that Twilio's side took
    later than the STOP's log time + claim_ttl."""
    late = {attempt for attempt in log.answered if _after_stop(attempt, log)}
    for create in creates:
        attempt = attempt_of(create)
        stop = log.stops.get(_contact(attempt))
        if stop and (_after_stop(attempt, log) or create["created_at"] * 1000 > stop[1] + claim_ttl_s * 1000):
            late.add(attempt)
    return len(late)


def _after_stop(attempt: Attempt, log: DemoLog) -> bool:
    stop = log.stops.get(_contact(attempt))
    return stop is not None and log.turns.get(attempt, -1) > stop[0]


def _contact(attempt: Attempt) -> str:
    return attempt[0].partition("-")[0]


def percentiles(seconds: list[float]) -> dict[str, float]:
    """p50, p95, p99 in ms."""
    ordered = sorted(seconds)
    if not ordered:
        return {"p50": 0.0, "p95": 0.0, "p99": 0.0}
    last = len(ordered) - 1
    return {name: round(ordered[min(last, int(share * len(ordered)))] * 1000, 1) for name, share in SHARES.items()}
