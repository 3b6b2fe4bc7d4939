"""The judge: what the simulator took and what the topics say, held against what was asked. No worker code in it."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urldefrag, urlsplit

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

Seen = list[tuple[int, int, int, dict[str, Any]]]  # partition, offset, log time in ms, value


async def read_all(topic: str, client: Mapping[str, Any]) -> Seen:
    """Every record of a topic as it stands now."""
    consumer = AIOKafkaConsumer(enable_auto_commit=False, auto_offset_reset="earliest", **client)
    await consumer.start()
    try:
        await consumer._client.add_topic(topic)
        places = [TopicPartition(topic, n) for n in consumer.partitions_for_topic(topic) or ()]
        ends = await consumer.end_offsets(places)
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
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


def message_of(create: Mapping[str, Any]) -> str:
    """The message id in a create's StatusCallback."""
    query = urlsplit(urldefrag(str(create["status_callback"]))[0]).query
    return parse_qs(query).get("m", [""])[0]


def summary(
    produced: Mapping[str, float], outcomes: Seen, creates: list[dict[str, Any]], contacts: Seen, claim_ttl_s: float
) -> dict[str, Any]:
    """`produced`: idempotency key to the unix time it was asked. All else as read; see the demo's --json."""
    firsts = {value["message_id"]: (at, value) for _, _, at, value in outcomes if value["revision"] == 1}
    ids = Counter(value["id"] for *_, value in outcomes)
    keys = {value["idempotency_key"]: message for message, (_, value) in firsts.items()}
    per_message = Counter(message_of(create) for create in creates)
    last_words: dict[str, tuple[int, str]] = {}
    for *_, value in outcomes:
        kept = last_words.get(value["message_id"], (0, ""))
        last_words[value["message_id"]] = max(kept, (value["revision"], value["outcome"]))
    created_at = {message_of(create): create["created_at"] for create in reversed(creates)}
    to_create = [created_at[keys[k]] - at for k, at in produced.items() if k in keys and keys[k] in created_at]
    to_outcome = [firsts[keys[k]][0] / 1000 - at for k, at in produced.items() if k in keys]
    return {
        "messages": len(produced),
        "outcomes": dict(Counter(word for _, word in last_words.values())),
        "creates": len(creates),
        "duplicate_creates": sum(count - 1 for count in per_message.values()),
        "missing_outcomes": len(set(produced) - set(keys)),
        "duplicate_outcomes": sum(count - 1 for count in ids.values()),
        "sends_after_stop": sends_after_stop(contacts, creates, claim_ttl_s),
        "messages_per_second": 0.0,
        "latency_ms": {"request_to_create": percentiles(to_create), "request_to_outcome": percentiles(to_outcome)},
    }


def sends_after_stop(contacts: Seen, creates: list[dict[str, Any]], claim_ttl_s: float) -> int:
    """Answered attempts whose turn lies after a STOP on that contact's log, and creates later than STOP + claim_ttl."""
    stops: dict[str, tuple[int, int]] = {}
    turns: dict[tuple[str, int], int] = {}
    answered: set[tuple[str, int]] = set()
    keyed = defaultdict(list)
    for partition, offset, at, value in sorted(contacts, key=lambda row: (row[0], row[1])):
        keyed[partition].append((offset, at, value))
    for rows in keyed.values():
        for offset, at, value in rows:
            kind, attempt = value["type"], (value.get("message_id", ""), value.get("attempt", 0))
            if kind == "contact.texted.v1" and value["intent"] == "stop":
                stops.setdefault(value["key"], (offset, at))
            elif kind == "contact.turn_granted.v1":
                turns.setdefault(attempt, offset)
            elif kind == "contact.answered.v1" and value["answer"] != "abandoned":
                answered.add(attempt)
    late_turns = {a for a in answered if _after(stops.get(a[0].partition("-")[0]), turns.get(a, -1))}
    late_creates = 0
    for create in creates:
        stop = stops.get(message_of(create).partition("-")[0])
        late_creates += stop is not None and create["created_at"] * 1000 > stop[1] + claim_ttl_s * 1000
    return len(late_turns) + late_creates


def _after(stop: tuple[int, int] | None, offset: int) -> bool:
    return stop is not None and offset > stop[0]


def percentiles(seconds: list[float]) -> dict[str, float]:
    """p50, p95, p99 in ms."""
    ordered = sorted(seconds)
    if not ordered:
        return {"p50": 0.0, "p95": 0.0, "p99": 0.0}
    last = len(ordered) - 1
    return {name: round(ordered[min(last, int(share * len(ordered)))] * 1000, 1) for name, share in SHARES.items()}


SHARES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
