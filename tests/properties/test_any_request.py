"""P1, P4: whatever stands on `notify.requests` ends as inputs of contacts or dead letters that their topics take."""

import json
from pathlib import Path
from typing import Any

import msgspec
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.config.tenants import LaneConfig, Tenant
from app.domain.model.inputs import Input as ContactInput
from app.records.bulk import BulkParked
from app.records.codec import InvalidFieldError as BadRecord
from app.records.dead_letters import RETRY_OF, NotifyDeadletter
from app.records.requests import NotifyRequested, parse_request
from app.streams.engine.agent import Input, Output, UnreadableRecordError
from app.streams.engine.overlay import Overlay
from tests.support.expanding import as_read, bulk_agent, intake_agent

TOPICS = {topic["name"]: topic["config"] for topic in yaml.safe_load(Path("schemas/topics.yaml").read_text())["topics"]}
LIMITS = {name: int(TOPICS[name]["max.message.bytes"]) for name in ("contacts", "notify.deadletters", "bulk")}
FORMS = {"contacts": ContactInput, "notify.deadletters": NotifyDeadletter, "bulk": BulkParked}
LANES = {"main": LaneConfig(from_number="+15005550006", schedule_at_twilio=True)}
TENANTS = {
    "default": Tenant(name="default", lanes=LANES, shared_requests=True, lookup={"marketing": "first"}),
    "strict": Tenant(
        name="strict", lanes=LANES, shared_requests=True, strict_numbers=True, mode="sandbox", allow=("+14155550123",)
    ),
}
AGENT, BULK = intake_agent(TENANTS), bulk_agent(TENANTS)

# Values as they are written, each of which some reader trips over.
RAW = [
    b"null", b"true", b"0", b"-1", b"1e400", b"-1E-400", b"NaN", b"Infinity", b"9" * 400, b"1.5", b"[]", b"{}", b'""', b'" "',
    b"[" * 600 + b"]" * 600, b'{"a":' * 600 + b"1" + b"}" * 600, b"[" * 100_000, b'[null,"+14155550123",1e400]',
    b'"\\ud83d"', b'"\\udfff\\u0000"', b'"\xed\xa0\x80"', b'"\xff"', b'"\xc0\x80"', b'"\\u0000"', b'"\xe2\x80\xae"', b'"\\q"',
    b'"0001-01-01T00:00:00+23:59"', b'"9999-12-31T23:59:59-23:59"', b'"9999-12-31T23:59:59.999999999Z"', b'"0001-01-01T00:00:00Z"',
    b'"1969-12-31T23:59:59.999Z"', b'"2026-02-30T00:00:00Z"', b'"2026-11-25T09:00:00"', b'"+14155550123"', b'"tel:+14155550123;ext=1"',
    b'"+1;phone-context=+1"', b'"+52155"', b'"+5491"', b'"+\xd9\xa3\xd9\xa3\xd9\xa3\xd9\xa3\xd9\xa3\xd9\xa3\xd9\xa3\xd9\xa3\xd9\xa3"', b'"whatsapp:+"',
    b'"https://[::1"', b'"https://\xe2\x84\x80.example/a.png"', b'["https://a/b.mp4","https://[","https://"]', b'"strict"', b'"marketing"',
    b'{"\\ud800":"\\udfff"}', b'{"a":"b","a":"c"}', b'"' + b"x" * 500_000 + b'"', b'"' + b"\\u0001" * 100_000 + b'"',
    json.dumps([f"+1415555{n:04d}" for n in range(60)]).encode(), json.dumps(["\u0001" * 60_000, "+14155550123"]).encode(),
    json.dumps([f"{'x' * 60_000}{n}" for n in range(12)]).encode(),
]  # fmt: skip
NAMES = [
    *NotifyRequested.__struct_fields__,
    "type",
    "message_id",
    "specversion",
    "data",
    "unknown",
    "\\ud83d",
    "\\u0074o",
]
FIELDS = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(RAW)), max_size=3)
GOOD = {"type": b'"notify.requested.v1"', "to": b'"+14155550123"', "body": b'"Build 1."'}
BEFORE = st.sampled_from([b"", b"", b"", b"\xef\xbb\xbf", b"\0\0\0\0\1", b"\0", b"\xff\xfe", b"\xef\xbb"])


def written(fields: list[tuple[str, bytes]], left_out: set[str], *, event: bool) -> bytes:
    kept = [(name, raw) for name, raw in GOOD.items() if name not in left_out]
    text = b"{" + b",".join(b'"' + name.encode() + b'":' + raw for name, raw in [*kept, *fields]) + b"}"
    return b'{"specversion":"1.0","id":"e","time":"soon","data":' + text + b"}" if event else text


def damaged(value: bytes, at: int, patch: bytes, cut: bool) -> bytes:
    place = at % (len(value) + 1)
    return value[:place] + patch + (b"" if cut else value[place + len(patch) :])


REQUESTS = st.builds(
    lambda before, fields, left_out, event: before + written(fields, left_out, event=event),
    BEFORE, FIELDS, st.sets(st.sampled_from([*GOOD]), max_size=1), st.booleans(),
)  # fmt: skip
VALUES = st.one_of(
    REQUESTS,
    st.builds(damaged, REQUESTS, st.integers(0, 400), st.binary(max_size=6), st.booleans()),
    st.none() | st.binary(max_size=40),
)
HEADERS = st.lists(
    st.tuples(
        st.sampled_from(["ce_specversion", "ce_id", "ce_type", "ce_time", "traceparent", RETRY_OF, "content-type"])
        | st.binary(max_size=6).map(lambda raw: raw.decode("utf-8", "surrogateescape")),
        st.none() | st.binary(max_size=20) | st.sampled_from([b"1.0", b"x" * 300_000, b"notify.requests-0-1"]),
    ),
    max_size=4,
)
ANYTHING = settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))


@ANYTHING
@given(VALUES, HEADERS)
def test_a_request_is_read_or_refused_by_field_and_rule(value: bytes | None, headers: Any) -> None:
    try:
        request, warnings = parse_request(value, headers)
    except BadRecord as bad:
        assert bad.field and len(bad.field) <= 200 and bad.rule and len(bad.rule) <= 500
    else:
        assert msgspec.json.encode(request) and all(warnings)


@ANYTHING
@given(VALUES, HEADERS, st.none() | st.binary(max_size=9), st.integers(-1, 1 << 45))
def test_whatever_is_asked_ends_as_records_that_their_topics_take(
    value: bytes | None, headers: Any, key: bytes | None, at_ms: int
) -> None:
    record, overlay = Input("notify.requests", 0, 7, at_ms, key, value, headers), Overlay((), {})
    expanded(AGENT, record, overlay)
    for parked in [output for output in overlay.outputs if output.topic == "bulk"]:
        expanded(BULK, as_read(parked), overlay)
    assert overlay.outputs
    for output in overlay.outputs:
        assert output.value is not None and size(output) < LIMITS[output.topic] - 100
        msgspec.json.decode(output.value, type=FORMS[output.topic])


def expanded(agent: Any, record: Input, overlay: Overlay) -> None:
    try:
        for _ in agent.fold(record, overlay) or ():
            continue
    except UnreadableRecordError as refused:
        overlay.emit(agent.dead_letter(record, refused.field, refused.rule))


def size(output: Output) -> int:
    headers = sum(len(name) + len(value or b"") + 10 for name, value in output.headers)
    return len(output.value or b"") + len(output.key or b"") + headers
