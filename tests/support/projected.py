"""Rows of a read model as its writer would have made them."""

import sqlalchemy as sa

from app import clock
from app.domain.identity import contact_id, message_id, payload_fingerprint
from app.read_model.state import AttemptState, MessageState, key_hash
from app.read_model.store import Place, Store
from app.read_model.tables import prepare_tables
from app.records.requests import NotifyRequested, payload_fields, read_request

KEY, SID = bytes.fromhex("11" * 32), "SM" + "c" * 32


def state(tenant: str, to: str, key: str, event: dict[str, object], **given: object) -> MessageState:
    """Of a message to one recipient that Twilio has taken."""
    import msgspec

    request = read_request(msgspec.json.encode({"type": "notify.requested.v1", **event}))
    assert isinstance(request, NotifyRequested)
    contact = contact_id(KEY, tenant, to)
    made = MessageState(
        message_id=message_id(tenant, key, contact),
        tenant=tenant,
        key_hash=key_hash(KEY, tenant, key),
        request_digest=payload_fingerprint(KEY, contact, *payload_fields(request)),
        masked="+1415•••0123",
        stage="taken",
        stage_reason="taken",
        opened_ms=clock.now_ms(),
        attempts=(AttemptState(attempt=1, state="taken", message_sid=SID),),
        changed_ms=clock.now_ms(),
    )
    return msgspec.structs.replace(made, **given)


def put(engine: sa.Engine, *states: MessageState, caught_up: bool = True) -> None:
    """Into an empty database, all in one batch."""
    prepare_tables(engine)
    store = Store(engine, 1)
    changes = [(one.message_id, one.tenant, lambda _, one=one: one) for one in states]
    store.apply(Place("notify.updates", 0), None, len(states), changes)
    if caught_up:
        store.caught_up(clock.now_ms())
