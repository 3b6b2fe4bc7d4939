"""P4: whatever a signed webhook holds becomes a record that its topic takes, and those that follow from it are taken too."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.config.tenants import Tenant
from app.domain.model.inputs import Input as ContactInput
from app.domain.model.inputs import TextArrived
from app.ingress.durable.record import LogRecord
from app.ingress.webhooks.records import VerifiedWebhook, WebhookRecords
from app.ingress.webhooks.routes import Kind
from app.provider.webhook_forms import (
    MAX_BODY_BYTES,
    MAX_QUERY_BYTES,
    WebhookFormError,
    fields_of,
    read_form,
    read_json,
)
from app.records.dead_letters import NotifyDeadletter
from app.records.seal import Sealer
from app.records.topics import Topics
from app.records.webhooks import RawWebhook

TOPICS = {topic["name"]: topic["config"] for topic in yaml.safe_load(Path("schemas/topics.yaml").read_text())["topics"]}
DEFAULT_BYTES = 1_048_588  # of a topic that says nothing, as notify.inbound
TENANT = Tenant(name="acme", keyword_replies="heliograph", stop_words=("basta",), invalid_after={"30003": 3})
RECEIPTS = WebhookRecords(Sealer({"k1": b"s" * 32}), Topics("", ""), b"k" * 32, "11111111")
SID, MESSAGE = "SM" + "c" * 32, "0123456789abcdef0123-0123456789abcdef0123"
NAMES = st.sampled_from(
    ["MessageSid", "SmsSid", "MessageStatus", "From", "To", "Body", "ErrorCode", "OptOutType", "MessagingServiceSid",
     "RawDlrDoneDate", "MediaUrl0", "\ud83d"]
)  # fmt: skip
VALUES = st.sampled_from(
    [SID, "+14155550123", "whatsapp:+", "STOP \ud83d", "basta\0", "\0", "delivered", "failed", "30003", "9" * 40, "²", "\ufdfa" * 2000,
     "MG" + "d" * 32, "\x01" * 9_000, "\x7f\u2028" * 500]
)  # fmt: skip
FORMS = st.lists(st.tuples(NAMES, VALUES | st.text(st.characters(categories=None), max_size=20)), max_size=8)
QUERIES = st.sampled_from(
    ["", f"m={MESSAGE}&a=1", "m=%ED%A0%80&a=1", "a=%FF", "\x01" * MAX_QUERY_BYTES, f"m={MESSAGE}&a=1&" + "\xff" * 4000]
)


def record_of(kind: Kind, query: str, body: bytes, *, form: bool) -> LogRecord | None:
    try:
        read = read_form(body) if form else read_json(body)
    except WebhookFormError:
        return None
    raw = RawWebhook(kind.value, query, body.decode("latin-1"), "s" * 200, "", form)
    came = VerifiedWebhook(kind=kind, tenant=TENANT, fields=fields_of(read), query=query, token="t", raw=raw)
    return RECEIPTS.report(came) if kind is Kind.STATUS else RECEIPTS.text(came)[0]


def taken(record: LogRecord) -> None:
    limit = int(TOPICS[record.topic]["max.message.bytes"])
    assert len(record.value) + 1000 < limit
    if record.topic == "contacts":
        value: Any = msgspec.json.decode(record.value, type=ContactInput)
        if isinstance(value, TextArrived):
            # What notify.inbound repeats of it.
            assert len(value.sealed) + len(value.masked) + 2000 < DEFAULT_BYTES
    else:
        msgspec.json.decode(record.value, type=NotifyDeadletter)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from([Kind.STATUS, Kind.INBOUND, Kind.FALLBACK]), QUERIES, FORMS, st.booleans())
def test_whatever_was_signed_becomes_a_record_that_its_topic_takes(
    kind: Kind, query: str, form: Any, as_json: bool
) -> None:
    body = json.dumps(dict(form)).encode() if as_json else urlencode(form, errors="surrogatepass").encode()
    record = record_of(kind, query, body, form=not as_json)
    if record is not None:
        taken(record)


def test_the_longest_body_of_the_costliest_characters_is_taken() -> None:
    start = f"MessageSid={SID}&From=%2B14155550123&Body=".encode()
    for character in (b"\x01", b"\x7f", b"x"):
        for start_of in (start, b"Body="):
            body = start_of + character * (MAX_BODY_BYTES - len(start_of))
            record = record_of(Kind.INBOUND, "\x01" * MAX_QUERY_BYTES, body, form=True)
            assert record is not None
            taken(record)
