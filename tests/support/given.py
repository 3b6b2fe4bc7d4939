"""Builders: inputs with full defaults, and a contact's log folded step by step."""

import msgspec

from app.domain.fold import Folded, fold
from app.domain.model.contact import Contact, Message
from app.domain.model.effects import Effect
from app.domain.model.events import Event
from app.domain.model.inputs import (
    CancelRequested,
    CreateReturned,
    DeliveryReported,
    Input,
    LogPosition,
    MessageRequested,
    MessagesListed,
    PermitGranted,
    RequestRejected,
    ScheduledCancelReturned,
    TextArrived,
    TimerDue,
)
from app.domain.model.listed_text import ListedText
from app.domain.model.policy import Policy
from app.domain.model.vocabulary import (
    Category,
    CreateResult,
    DeliveryStatus,
    DueKind,
    ErrorClass,
    Intent,
    Priority,
    Proof,
)
from app.domain.rules.placement import own_rows
from app.records.caller_fields import CallerFields

CONTACT = "0123456789abcdef0123"
KEY = "aaaaaaaaaaaaaaaaaaaa"
MESSAGE = f"{CONTACT}-{KEY}"
START_MS = 1_800_000_000_000
BASE = {"id": "r", "tenant": "acme", "pk": "11111111", "at": START_MS}
HOUR_MS = 3_600_000


def as_sealed(idempotency_key: str, campaign: str = "", request_id: str = "", **metadata: str) -> str:
    """A caller's own fields as these inputs hold them: in clear, so that histories can be read and written by hand."""
    return msgspec.json.encode(CallerFields(idempotency_key, campaign, metadata, request_id)).decode()


def opened(sealed: str, tenant: str, message_id: str) -> CallerFields | None:
    """The reader of what `as_sealed` made; of anything else None."""
    try:
        return msgspec.json.decode(sealed, type=CallerFields)
    except msgspec.MsgspecError:
        return None


def policy(**given: object) -> Policy:
    defaults = {
        "lane": "main",
        "priority": Priority.NORMAL,
        "category": Category.TRANSACTIONAL,
        "segments": 1,
        "expires_ms": START_MS + HOUR_MS,
        "outcome_ms": START_MS + 2 * HOUR_MS,
        "retry_delays_ms": (1000,),
    }
    return Policy(**{**defaults, **given})


def requested(
    key: str = KEY, *, fingerprint: str = "f", digest: str = "d1", fallback_digest: str = "", **given: object
) -> MessageRequested:
    return MessageRequested(
        **BASE,
        message_id=f"{CONTACT}-{key}",
        fingerprint=fingerprint,
        sealed="sealed-text",
        sealed_to="sealed-to",
        sealed_caller_fields=as_sealed(f"key-{key[:4]}"),
        masked="•••0123",
        country="US",
        policy=policy(**given),
        requested_ms=START_MS,
        source="notify.requests-0-0",
        digest=digest,
        fallback_digest=fallback_digest,
    )


def pictured(key: str = KEY, **given: object) -> MessageRequested:
    """A request with media and a link that may stand for them."""
    return requested(key, fallback_digest="d2", **{"fallback_segments": 2, **given})


def rejected(key: str = KEY, **given: object) -> RequestRejected:
    return RequestRejected(
        **BASE,
        message_id=f"{CONTACT}-{key}",
        fingerprint="bad",
        sealed_to="sealed-to",
        sealed_caller_fields=as_sealed("key"),
        masked="•••",
        field="body",
        rule="is empty and there is no media",
        requested_ms=START_MS,
        source="notify.requests-0-0",
        **given,
    )


def turn(n: int = 1, key: str = KEY, probe: Proof | None = None) -> PermitGranted:
    return PermitGranted(**BASE, message_id=f"{CONTACT}-{key}", attempt=n, lane="main", probe=probe)


def taken(n: int = 1, sid: str = "SM1", key: str = KEY) -> CreateReturned:
    message = f"{CONTACT}-{key}"
    return CreateReturned(
        **BASE, message_id=message, attempt=n, answer=CreateResult.TAKEN, sid=sid, started_ms=START_MS + 5
    )


def refused(error: ErrorClass, n: int = 1, code: int | None = None, key: str = KEY, **given: object) -> CreateReturned:
    message = f"{CONTACT}-{key}"
    answered = CreateReturned(
        **BASE, message_id=message, attempt=n, answer=CreateResult.REFUSED, code=code, error=error
    )
    return msgspec.structs.replace(answered, progress=DeliveryStatus.CLAIMED, http_status=400, **given)


def doubtful(n: int = 1, key: str = KEY) -> CreateReturned:
    given = {"message_id": f"{CONTACT}-{key}", "attempt": n, "progress": DeliveryStatus.CLAIMED}
    return CreateReturned(**BASE, **given, answer=CreateResult.DOUBTFUL, why="http 500")


def abandoned(n: int = 1, why: str = "claim_ttl") -> CreateReturned:
    message = {"message_id": MESSAGE, "attempt": n, "progress": DeliveryStatus.CLAIMED}
    return CreateReturned(**BASE, **message, answer=CreateResult.ABANDONED, why=why)


def report(
    progress: DeliveryStatus,
    n: int = 1,
    sid: str = "SM1",
    code: int | None = None,
    error: ErrorClass | None = None,
    key: str = KEY,
    **stamped: int,
) -> DeliveryReported:
    status = progress.name.lower()
    given = {"progress": progress, "status": status, "code": code, "error": error, **stamped}
    return DeliveryReported(**BASE, message_id=f"{CONTACT}-{key}", attempt=n, sid=sid, **given)


def seen(sid: str = "SM1", progress: DeliveryStatus = DeliveryStatus.SENT, **given: object) -> ListedText:
    """A text on Twilio's list, by default the one that `requested` asked for, made two seconds after the start."""
    defaults = {"created_ms": START_MS + 2000, "lanes": ("main",), "digest": "d1", "status": progress.name.lower()}
    return ListedText(sid=sid, progress=progress, **{**defaults, **given})


def listed(*texts: ListedText, keys: tuple[str, ...] = (KEY,), look_ms: int = 0, whole: bool = True) -> MessagesListed:
    ids = tuple(f"{CONTACT}-{key}" for key in keys)
    return MessagesListed(**BASE, message_ids=ids, look_ms=look_ms, texts=texts, whole=whole)


def text(intent: Intent, received_ms: int = START_MS, sid: str = "SM-in") -> TextArrived:
    given = {**BASE, "at": received_ms}
    return TextArrived(**given, sid=sid, intent=intent, sealed="sealed", masked="•••0123")


def cancel(key: str = KEY) -> CancelRequested:
    return CancelRequested(**BASE, message_id=f"{CONTACT}-{key}")


def recalled(canceled: bool, n: int = 1, sid: str = "SM1", key: str = KEY) -> ScheduledCancelReturned:
    code = None if canceled else 30409
    return ScheduledCancelReturned(
        **BASE, message_id=f"{CONTACT}-{key}", attempt=n, sid=sid, canceled=canceled, code=code
    )


def due(kind: DueKind, due_ms: int, key: str = KEY) -> TimerDue:
    return TimerDue(**BASE, message_id=f"{CONTACT}-{key}", kind=kind, due_ms=due_ms)


class ContactLog:
    """A contact's log, folded as it grows. Each input is logged one second after the one before."""

    def __init__(self) -> None:
        self.contact: Contact | None = None
        self.rows: dict[str, Message] = {}
        self.offset = -1
        self.now_ms = START_MS
        self.events: list[Event] = []
        self.effects: list[Effect] = []
        self.last: tuple[Input, Folded] | None = None

    def then(self, *inputs: Input, after_ms: int = 1000) -> "ContactLog":
        for record in inputs:
            self.offset += 1
            self.now_ms += after_ms
            self.events, self.effects, self.last = [], [], None
            self.fold(record, LogPosition(0, self.offset, self.now_ms))
        return self

    def fold(self, record: Input, place: LogPosition) -> None:
        own = {key: self.rows[key] for key in own_rows(self.contact, record) if key in self.rows}
        folded = fold(self.contact, own, record, place)
        if folded is None:
            return
        self.contact, self.last = folded.contact if folded.changed else self.contact, (record, folded)
        self.rows = {key: row for key, row in {**self.rows, **folded.written}.items() if row is not None}
        self.events, self.effects = list(folded.events), list(folded.effects)

    def message(self, key: str = KEY) -> Message:
        assert self.contact is not None
        return self.contact.messages.get(key) or self.rows[key]

    def said(self, kind: type) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]


def given(*inputs: Input) -> ContactLog:
    return ContactLog().then(*inputs)
