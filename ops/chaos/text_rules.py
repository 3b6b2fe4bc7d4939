"""Rules over texts: whom, what, and in which order. Pure."""

import itertools
from collections import defaultdict
from collections.abc import Iterator

from ops.chaos.diary import Entry
from ops.chaos.evidence import Record
from ops.chaos.view import Asked, View, contact_of


def wrong_texts(view: View) -> list[str]:
    """Each create is of a message that was asked for, to its recipient and with its text; so is each call."""
    problems = []
    for texts in view.texts.values():
        for text in texts:
            problems += [f"text {text.sid}: {fault}" for fault in _faults(view, text.attempt[0], text.to, text.body)]
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


def reversed_calls(view: View) -> list[str]:
    """First calls to one contact leave in the order of its log, for equal priority and lane: each once those before it
    have their create result, are in doubt, abandoned or over. What is scheduled has no place in the order."""
    first = _first_calls(view)
    problems = []
    for line in _lines(view):
        for earlier, later in itertools.pairwise(line):
            a, b = first.get(earlier), first.get(later)
            if a and b and b < a and not _is_over(view, earlier, later):
                problems.append(f"message {later}: was called before {earlier}, which stands before it on the log")
            elif b and not _is_over(view, earlier, later):
                problems.append(f"message {later}: got its turn while {earlier}, before it on the log, had no result")
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


def _is_over(view: View, earlier: str, later: str) -> bool:
    """Whether the wait for the first attempt of `earlier` had ended when `later` was granted its turn."""
    turns = [r.offset for r in view.histories[later] if r.kind == "contact.turn_granted.v1"]
    turn = min(turns, default=-1)
    heard = ("contact.answered.v1", "contact.reported.v1", "contact.listed.v1")
    if any(record.offset < turn and record.kind in heard for record in view.histories[earlier]):
        return True
    ends = [update for update in view.updates.get(earlier, ()) if update["event"] in ("outcome", "doubted", "stage")]
    return any(end["cause"]["offset"] < turn and end["state"] != "waiting" for end in ends)


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
