"""Rules over texts: whom, what, and in which order. Pure."""

import itertools
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

from ops.chaos.diary import Entry
from ops.chaos.evidence import Record
from ops.chaos.view import Asked, Text, View, contact_of


def wrong_texts(view: View) -> list[str]:
    """Each create is of a message that was asked for, to its recipient, with its text and in its time, and no attempt
    begins after a cancel; each call is, too."""
    problems = []
    for message, texts in view.texts.items():
        for text in texts:
            problems += [f"text {text.sid}: {fault}" for fault in _faults(view, message, text.to, text.body)]
            problems += [f"text {text.sid}: {fault}" for fault in _untimely(view, text)]
    for message, updates in view.updates.items():
        claims = [update["cause"]["offset"] for update in updates if update["event"] == "claimed"]
        if any(claim > _canceled_at(view, message) for claim in claims):
            problems.append(f"message {message}: an attempt begins after it was canceled")
    for call in view.seen.told("called"):
        faults = _faults(view, call["message_id"], call["to"], call["body"])
        problems += [f"message {call['message_id']}: its call {fault}" for fault in faults]
    return problems


def _faults(view: View, message_id: str, to: str, body: str) -> Iterator[str]:
    asked = view.asked.get(message_id)
    if asked is None:
        yield f"is of message {message_id}, which nobody asked for"
        return
    if to != asked.to:
        yield f"of message {message_id} is to another person"
    if body != asked.body:
        yield f"of message {message_id} has another text"


def _untimely(view: View, text: Text) -> Iterator[str]:
    asked = view.asked.get(text.attempt[0])
    # A worker whose clock was stepped ahead takes a time for come that has not.
    ahead_ms = max((step["off_ms"] for step in view.seen.told("clock_stepped")), default=0)
    if asked is not None and text.at_ms < asked.start_ms - ahead_ms:
        yield "was taken before its time"
    if asked is not None and asked.expires_ms and text.at_ms > asked.expires_ms + view.seen.claim_ttl_s * 1000:
        yield "was taken after it had expired"


def _canceled_at(view: View, message: str) -> int:
    """Offset of the first cancel on the log."""
    cancels = (r.offset for r in view.histories.get(message, ()) if r.kind == "contact.cancel_requested.v1")
    return next(cancels, 1 << 62)


def reversed_calls(view: View) -> list[str]:
    """First calls to one contact leave in the order of its log, for equal priority and lane: each once those before it
    have their create result, are in doubt, abandoned or over. What is scheduled has no place in the order."""
    first = _first_calls(view)
    problems = []
    for line in _lines(view):
        for earlier, later in pairwise(line):
            if later not in first:
                continue
            heard, let_go = _waited(view, earlier, later)
            if not heard and not let_go:
                problems.append(f"message {later}: got its turn while {earlier}, before it on the log, had no result")
            # What was let go may have been held on its way, and be seen late.
            elif heard and first[later] < first.get(earlier, 0):
                problems.append(f"message {later}: was called before {earlier}, which stands before it on the log")
    return problems + _reordered(view)


def _first_calls(view: View) -> dict[str, int]:
    """When the first attempt of each message was called."""
    found: dict[str, int] = {}
    for call in view.seen.told("called"):
        if call["attempt"] == 1:
            found.setdefault(call["message_id"], call["at"])
    return found


def _lines(view: View) -> Iterator[list[str]]:
    """Messages of one contact, lane and priority in the order of its log."""
    lines: defaultdict[tuple[str, str, str], list[str]] = defaultdict(list)
    for message, history in view.histories.items():
        asked, opening = view.asked.get(message), _opening(history)
        if asked is not None and opening is not None and asked.start_ms <= opening.at_ms:
            lines[contact_of(message), asked.lane, asked.priority].append(message)
    for line in lines.values():
        yield sorted(line, key=lambda message: _offset(view, message))


def _opening(history: list[Record]) -> Record | None:
    return next((record for record in history if record.kind == "contact.requested.v1"), None)


def _offset(view: View, message: str) -> int:
    opening = _opening(view.histories[message])
    return -1 if opening is None else opening.offset


def _waited(view: View, earlier: str, later: str) -> tuple[bool, bool]:
    """What was known of the first message when the second was granted its turn: whether Twilio had told of its text,
    and whether it was in doubt, abandoned, put off or over."""
    turn, heard, let_go = _claimed_at(view, later), False, False
    for record in view.histories[earlier]:
        if record.offset < turn and record.kind in ("contact.reported.v1", "contact.listed.v1"):
            heard = True
        elif record.offset < turn and record.kind == "contact.answered.v1":
            told = (record.value or {})["answer"] in ("taken", "refused")
            heard, let_go = heard or told, let_go or not told
    events = ("outcome", "doubted", "stage")
    ends = [update for update in view.updates.get(earlier, ()) if update["event"] in events]
    over = any(end["cause"]["offset"] < turn and end["state"] != "waiting" for end in ends)
    return heard, let_go or over


def _claimed_at(view: View, message: str) -> int:
    """Offset of the turn by which its first attempt was claimed."""
    told = view.updates.get(message, ())
    claims = [update for update in told if update["event"] == "claimed" and update["attempt"] == 1]
    return min((claim["cause"]["offset"] for claim in claims), default=-1)


def _reordered(view: View) -> list[str]:
    """Requests to one contact that lie on one partition are on the contact's log in the same order."""
    contacts: defaultdict[tuple[int, str], list[tuple[int, Asked]]] = defaultdict(list)
    by_key = {asked.key: asked for asked in view.asked.values()}
    for entry in _produced_first(view):
        asked = by_key[entry["key"]]
        contacts[entry["partition"], contact_of(asked.message_id)].append((entry["offset"], asked))
    problems = []
    for found in contacts.values():
        names = [asked.message_id for _, asked in sorted(found) if asked.message_id in view.histories]
        for earlier, later in itertools.pairwise(names):
            if _offset(view, later) < _offset(view, earlier):
                problems.append(f"message {later}: is on the log before {earlier}, which was produced first")
    return problems


def _produced_first(view: View) -> Iterator[Entry]:
    """Acknowledged records of requests, each idempotency key once, but for those that were asked for by HTTP too."""
    by_http = {entry["key"] for entry in view.seen.told("requested") if entry["way"] == "http"}
    known: set[str] = set()
    for entry in view.seen.told("requested"):
        if "offset" in entry and entry["key"] not in known | by_http:
            known.add(entry["key"])
            yield entry
