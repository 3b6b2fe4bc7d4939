"""What `spool` finds on the contact log, against what was answered."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from app.domain.fold import fold
from app.domain.model.contact import Contact
from app.domain.model.inputs import Input, LogPosition, TextArrived
from app.domain.model.vocabulary import Intent


@dataclass
class Asked:
    """One webhook: which process took it, when it was sent, how long its answer took, and what that was (0: none)."""

    key: str
    door: int
    at: float
    took: float = 0.0
    status: int = 0


def spread(asked: Iterable[Asked]) -> dict[str, float]:
    """Milliseconds of those that were answered."""
    took = sorted(one.took * 1000 for one in asked if one.status)
    shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
    return {name: round(took[min(len(took) - 1, int(share * len(took)))], 1) for name, share in shares.items()}


def key_of(one: Input) -> str:
    return one.sid if isinstance(one, TextArrived) else one.message_id


def lost(asked: list[Asked], log: list[tuple[str, Input]]) -> int:
    there = {key_of(one) for _, one in log}
    return sum(200 <= one.status < 300 and one.key not in there for one in asked)


def out_of_order(asked: list[Asked], log: list[tuple[str, Input]]) -> int:
    """Records received before one of the same contact and process that stands before them."""
    door = {one.key: one.door for one in asked}
    latest: dict[tuple[str, int], int] = defaultdict(int)
    seen, wrong = set[str](), 0
    for contact, one in log:
        if (key := key_of(one)) not in seen:
            seen.add(key)
            way = contact, door[key]
            wrong += one.at < latest[way]
            latest[way] = max(latest[way], one.at)
    return wrong


def wrong_consent(log: list[tuple[str, Input]]) -> int:
    """People whose consent, folded from the log, is not that of what they said in the order of its receipt."""
    said = defaultdict[str, list[TextArrived]](list)
    for contact, one in log:
        if isinstance(one, TextArrived):
            said[contact].append(one)
    return sum(folded(texts) != wanted(texts) for texts in said.values())


def folded(texts: list[TextArrived]) -> bool:
    row: Contact | None = None
    for offset, one in enumerate(texts):
        done = fold(row, None, one, LogPosition(0, offset, one.at))
        row = done.contact if done else row
    return row is not None and row.consent.opted_out


def wanted(texts: list[TextArrived]) -> bool:
    """Opted out, unless a START came more than 2 s after the last STOP."""
    stop = max((one.at for one in texts if one.intent is Intent.STOP), default=0)
    return stop > 0 and not any(one.intent is Intent.START and one.at > stop + 2000 for one in texts)
