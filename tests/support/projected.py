"""Rows of a read model as its writer would have made them."""

import msgspec
import sqlalchemy as sa

from app import clock
from app.clock import iso
from app.domain.content.digests import payload_fingerprint
from app.domain.model.identity import contact_id, message_id
from app.read_model.state import AttemptState, MessageState, key_hash
from app.read_model.store import Store, StoredPartition
from app.read_model.tables import prepare_tables
from app.records.envelope import Cause
from app.records.outcomes import NotifyOutcome, Recipient
from app.records.requests import NotifyRequested, payload_fields, read_request
from app.records.updates import NotifyUpdated

MESSAGE = "a" * 20 + "-" + "1" * 20
KEY, SID = bytes.fromhex("11" * 32), "SM" + "c" * 32


def state(tenant: str, to: str, key: str, event: dict[str, object], **given: object) -> MessageState:
    """Of a message to one recipient that Twilio has taken."""
    request = read_request(msgspec.json.encode({"type": "notify.requested.v1", **event}))
    assert isinstance(request, NotifyRequested)
    contact = contact_id(KEY, tenant, to)
    made = MessageState(
        message_id=message_id(KEY, tenant, key, contact),
        tenant=tenant,
        key_hash=key_hash(KEY, tenant, key),
        request_digest=payload_fingerprint(KEY, contact, *payload_fields(request)),
        masked="•••0123",
        stage="taken",
        stage_reason="taken",
        opened_ms=clock.now_ms(),
        attempts=(AttemptState(attempt=1, state="taken", message_sid=SID),),
        changed_ms=clock.now_ms(),
    )
    return msgspec.structs.replace(made, **given)


def update(
    offset: int, event: str, state: str = "", attempt: int = 0, sid: str = "", message: str = MESSAGE
) -> NotifyUpdated:
    return NotifyUpdated(
        id=f"{message}@0-{offset}-0",
        at=iso(1000 + offset),
        at_ms=1000 + offset,
        tenant="acme",
        message_id=message,
        event=event,
        state=state or event,
        reason="r",
        cause=Cause(0, offset, 0),
        attempt=attempt,
        message_sid=sid,
        request_digest="d1" if event == "opened" else "",
        masked="•••23" if event == "opened" else "",
    )


def outcome(revision: int, word: str = "delivered", message: str = MESSAGE) -> NotifyOutcome:
    return NotifyOutcome(
        id=f"{message}:{revision}",
        at=iso(5000),
        tenant="acme",
        message_id=message,
        idempotency_key="k",
        recipient=Recipient(sealed="s", masked="•••23"),
        outcome=word,  # type: ignore[arg-type] # a word of the list
        reason="reported",  # type: ignore[arg-type] # a word of the list
        revision=revision,
        error_code=None,
        attempts=(),
        possible_duplicate=False,
        segments=1,
        country="US",
        requested_at=iso(1000),
        logged_at=iso(1000),
        final_at=iso(5000),
        times={},
        campaign="",
        metadata={},
        cause=Cause(0, 90 + revision, 0),
        request_digest="d1",
    )


def put(engine: sa.Engine, *states: MessageState, caught_up: bool = True) -> None:
    """Into an empty database, all in one batch."""
    prepare_tables(engine)
    store = Store(engine, 1)
    changes = [(one.message_id, one.tenant, lambda _, one=one: one) for one in states]
    store.apply(StoredPartition("notify.updates", 0), None, len(states), changes)
    if caught_up:
        store.caught_up(clock.now_ms())
