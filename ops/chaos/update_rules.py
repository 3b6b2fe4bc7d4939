"""Rules over `notify.updates`: what inputs led to is told, nothing else is, and in order. Pure.

A message's history is walked input by input; what each must have led to is a small table of its own, not the fold's
code. Updates of stages are not derived, but each claim needs the stages before it.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ops.chaos.evidence import Record
from ops.chaos.view import View, cause_of, contact_of, errors_of, statuses_of

Update = dict[str, Any]
Wanted = tuple[str, int, int]  # event, attempt, offset of the cause

# Inputs that may lead to an event; events that are not here may follow from any input of the contact.
CAUSES = {
    "opened": ("contact.requested.v1", "contact.rejected.v1"),
    "repeated": ("contact.requested.v1", "contact.rejected.v1"),
    "conflicted": ("contact.requested.v1", "contact.rejected.v1"),
    "claimed": ("contact.turn_granted.v1",),
    **dict.fromkeys(("taken", "refused", "abandoned", "doubtful"), ("contact.answered.v1",)),
    "progressed": ("contact.reported.v1", "contact.listed.v1", "contact.recalled.v1"),
    "doubted": ("contact.answered.v1", "contact.due.v1"),
    "cancel_kept": ("contact.cancel_requested.v1",),
}
# Of these the cause must name the message, and its attempt if there is one.
NAMED = ("opened", "repeated", "conflicted", "claimed", "taken", "refused", "abandoned", "doubtful", "cancel_kept")
STATUSES = ("queued", "sending", "sent", "delivered", "undelivered", "failed", "read", "canceled")


@dataclass
class _Attempt:
    """What the inputs so far say of an attempt; `known`: progress and code of each step."""

    answer: str = "open"
    known: set[tuple[int, int | None]] = field(default_factory=set)


def wrong_updates(view: View) -> list[str]:
    """Each input of a message is told by the updates it must have led to, each update has its cause, and each outcome
    has its update."""
    problems = []
    for message, history in view.histories.items():
        told = view.updates.get(message, [])
        if any(record.kind in CAUSES["opened"] for record in history):
            have = {_wanted(update) for update in told}
            lost = [wanted for wanted in _must_be_told(history, told) if wanted not in have]
            problems += [f"message {message}: {event} of attempt {n} at {at} is not told" for event, n, at in lost]
            problems += [f"message {message}: {fault}" for fault in (*_stages(told), *_unclaimed(history, told))]
    for told in view.updates.values():
        problems += [f"update {update['id']}: {fault}" for update in told for fault in _faults(view, update)]
    return problems + _outcomes(view) + _numbers(view)


def _wanted(update: Update) -> Wanted:
    return update["event"], update.get("attempt", 0), update["cause"]["offset"]


def _must_be_told(history: list[Record], told: list[Update]) -> Iterator[Wanted]:
    """Walk the inputs of one message."""
    claims = {update["cause"]["offset"] for update in told if update["event"] == "claimed"}
    listed = {_wanted(update): update for update in told if update["event"] == "progressed"}
    attempts: dict[int, _Attempt] = {}
    sources: dict[str, str] = {}
    for record in history:
        match record.kind:
            case "contact.requested.v1" | "contact.rejected.v1":
                yield from _of_request(record, sources)
            case "contact.turn_granted.v1" if record.offset in claims:
                attempts[record.attempt[1]] = _Attempt()
            case "contact.answered.v1" if attempt := attempts.get(record.attempt[1]):
                yield from _of_answer(record, attempt)
            case "contact.reported.v1" if attempt := attempts.get(record.attempt[1]):
                yield from _of_report(record, attempt)
            case "contact.listed.v1":
                for number, attempt in attempts.items():
                    if found := listed.get(("progressed", number, record.offset)):
                        attempt.known.add((_RANKS[found["state"]], found.get("error_code")))


_RANKS = {
    "claimed": 0,
    "accepted": 1,
    "queued": 2,
    "sending": 3,
    "sent": 4,
    "canceled": 5,
    "failed": 6,
    "undelivered": 7,
    "delivered": 10,
    "read": 11,
}


def _of_request(record: Record, sources: dict[str, str]) -> Iterator[Wanted]:
    """The first opens the message; another record with the same key repeats it or is a conflict."""
    value = record.value or {}
    if not sources:
        yield "opened", 0, record.offset
    elif value["fingerprint"] != sources["fingerprint"]:
        yield "conflicted", 0, record.offset
    elif value["source"] != sources["source"]:
        yield "repeated", 0, record.offset
    sources.setdefault("fingerprint", value["fingerprint"])
    sources.setdefault("source", value["source"])


def _of_answer(record: Record, attempt: _Attempt) -> Iterator[Wanted]:
    value = record.value or {}
    answer, number = value["answer"], record.attempt[1]
    if attempt.answer not in ("open", "doubtful") or attempt.answer == answer:
        return
    attempt.answer = answer
    yield answer, number, record.offset
    if answer == "taken":
        attempt.known.add((value.get("progress", 1), None))


def _of_report(record: Record, attempt: _Attempt) -> Iterator[Wanted]:
    value = record.value or {}
    step = value["progress"], value.get("code")
    if step not in attempt.known:
        attempt.known.add(step)
        yield "progressed", record.attempt[1], record.offset


def _unclaimed(history: list[Record], told: list[Update]) -> Iterator[str]:
    """Each attempt that the log has an answer of was claimed."""
    claimed = {update.get("attempt", 0) for update in told if update["event"] == "claimed"}
    answered = {record.attempt[1] for record in history if record.kind == "contact.answered.v1"}
    yield from (f"the claim of attempt {number} is not told" for number in sorted(answered - claimed))


def _stages(told: list[Update]) -> Iterator[str]:
    """Each claim comes after its attempt has asked for its turn; a further attempt after the message was put off, or
    after the one before was abandoned."""
    asked, put_off, abandoned = set[int](), False, False
    for update in told:
        event, number, state = update["event"], update.get("attempt", 0), update["state"]
        if event == "stage" and state == "waiting":
            asked.add(number)
        put_off = put_off or (event == "stage" and state == "retrying")
        abandoned = abandoned or event == "abandoned"
        if event == "doubtful" and not _is_told_doubted(told, number):
            yield f"attempt {number} got no answer, and no doubt is told"
        if event == "claimed":
            if number not in asked:
                yield f"attempt {number} is claimed and no wish for its turn is told"
            if number > 1 and not (put_off or abandoned):
                yield f"attempt {number} is claimed and nothing is told that led to it"
            put_off = abandoned = False


def _is_told_doubted(told: list[Update], number: int) -> bool:
    """Whether it was in doubt, or had been heard of before."""
    events = ("doubted", "progressed", "outcome")
    return any(update["event"] in events and update.get("attempt", 0) == number for update in told)


def _faults(view: View, update: Update) -> Iterator[str]:
    """What of an update its cause does not bear out."""
    if view.was_set_aside(cause_of(update)[:2]):
        return  # told before Kafka refused another output of the input; it stays told
    event, cause = update["event"], view.inputs.get(cause_of(update)[:2])
    if cause is None or cause.key != contact_of(update["message_id"]):
        yield "its cause is no input of this contact"
        return
    value = cause.value or {}
    if cause.kind not in CAUSES.get(event, (cause.kind,)):
        yield f"{event} does not follow from {cause.kind}"
        return
    if event in NAMED and cause.attempt != (update["message_id"], update.get("attempt", 0)):
        yield "its cause names another message or attempt"
    elif cause.kind == "contact.answered.v1" and event in NAMED and value["answer"] != event:
        yield f"its cause says {value['answer']}"
    elif event == "progressed":
        yield from _unreported(view, update, cause)
    asked = view.asked.get(update["message_id"])
    if asked is not None and update["tenant"] != asked.tenant:
        yield "is another tenant's"
    if asked is not None and update.get("lane", asked.lane) != asked.lane:
        yield "is of another lane"


def _unreported(view: View, update: Update, cause: Record) -> Iterator[str]:
    attempt, text = (update["message_id"], update.get("attempt", 0)), view.by_sid.get(update.get("message_sid", ""))
    status = (cause.value or {}).get("status")
    if text is None or text.attempt != attempt:
        yield "its SID is not that of the attempt"
    if status in STATUSES and status != update["state"]:
        yield f"says {update['state']} of a report that says {status}"


def _outcomes(view: View) -> list[str]:
    """Outcomes and updates with event `outcome` are the same, one by one."""
    told = {
        (message, update["revision"]): (*cause_of(update), update["state"], update["reason"])
        for message, updates in view.updates.items()
        for update in updates
        if update["event"] == "outcome"
    }
    given = {
        (message, outcome["revision"]): (*cause_of(outcome), outcome["outcome"], outcome["reason"])
        for message, outcomes in view.outcomes.items()
        for outcome in outcomes
    }
    differ = sorted(name for name in told.keys() | given.keys() if told.get(name) != given.get(name))
    return [f"message {message}: outcome {revision} and its update differ" for message, revision in differ]


def _numbers(view: View) -> list[str]:
    """A number is invalid by a report of a failure, and valid again by a delivery or a text."""
    problems = []
    for contact, changes in view.numbers.items():
        for change in changes:
            cause = view.inputs.get(cause_of(change)[:2])
            if cause is None or cause.key != contact or not _tells_of_number(cause, change["state"]):
                problems.append(f"contact {contact}: its number is {change['state']} by nothing on the log")
    return problems


def _tells_of_number(cause: Record, state: str) -> bool:
    if state == "invalid":
        return any(error.startswith("number_") for error in errors_of(cause))
    return cause.kind == "contact.texted.v1" or bool({"delivered", "read"} & statuses_of(cause))


def disordered_notices(view: View) -> list[str]:
    """On each partition of a notify topic what is new follows its causes in order, so that a reader can drop repeats
    with one watermark.

    Not so for a contact with an input that was set aside: what followed it in its cycle is folded again without it."""
    problems, aside = [], _set_aside(view)
    for topic in ("updates", "outcomes", "inbound", "consent"):
        last: defaultdict[int, tuple[int, int]] = defaultdict(lambda: (-1, -1))
        known = set[str]()
        for record in view.seen.topics[topic]:
            value = record.value or {}
            if value.get("id") in known or "cause" not in value:
                continue
            known.add(value["id"])
            partition, *place = cause_of(value)
            if aside.get(record.key[:20], place[0]) < place[0]:
                continue
            if record.partition != partition or (place[0], place[1]) <= last[partition]:
                problems.append(f"{topic}: {value['id']} stands behind what came after it")
            last[partition] = max(last[partition], (place[0], place[1]))
    return problems


def _set_aside(view: View) -> dict[str, int]:
    """By contact: the offset of its first input that was set aside."""
    found: dict[str, int] = {}
    for record in view.seen.topics["contacts"]:
        if record.kind == "contact.set_aside.v1":
            found.setdefault(record.key, (record.value or {})["offset"])
    return found
