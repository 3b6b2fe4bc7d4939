"""What the harness asks for, put in the diary before it is asked: whom a message may be texted to, what, and until
when."""

from datetime import datetime
from typing import Any

from ops.chaos.diary import Diary
from ops.chaos.identity import TENANT, contact_id, message_id

DEFAULT_LANE = "main"


def note_asking(diary: Diary, pseudonym_key: bytes, event: dict[str, Any], body: str | None = None) -> None:
    """Write `asking` for a `notify.requested.v1` event, one for all its recipients.

    `body`: the text as it must arrive, if that is another than the event's.
    """
    tenant, key, to = event.get("tenant", TENANT), event["idempotency_key"], event["to"]
    people = to if isinstance(to, list) else [to]
    contacts = [contact_id(pseudonym_key, tenant, person) for person in people]
    ids = [message_id(pseudonym_key, tenant, key, contact) for contact in contacts]
    diary.note(
        "asking",
        key=key,
        tenant=tenant,
        recipients=[{"to": person, "message_id": name} for person, name in zip(people, ids, strict=True)],
        body=event.get("body", "") if body is None else body,
        lane=event.get("sender", DEFAULT_LANE),
        priority=event.get("priority", "normal"),
        category=event.get("category", "transactional"),
        campaign=event.get("campaign", ""),
        start_ms=_ms(event.get("send_at")),
        expires_ms=_ms(event.get("expires_at")),
    )


def _ms(moment: str | None) -> int:
    """Milliseconds since the epoch; 0 for none."""
    return int(datetime.fromisoformat(moment).timestamp() * 1000) if moment else 0
