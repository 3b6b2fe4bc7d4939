"""Rules over what did not happen: a message that could be sent was sent. Pure."""

from collections.abc import Iterator
from typing import Any

from ops.chaos.view import Text, View, cause_of, contact_of

# While nothing is wrong a message leaves within a second or two; after a fault those that waited leave at the lane's
# rate. So much time without a fault must have been enough, ms.
ENOUGH_MS = 10_000
# From when a look at Twilio's list is due until what it shows is on the log, ms.
LOOK_MS = 8_000
# After the product has caught up, for what still waits its turn, ms.
SETTLE_MS = 2_000

Span = tuple[int, int]


def unsent(view: View) -> list[str]:
    """No message ends without an attempt that had enough time, without a fault, to be sent, and may be sent."""
    faults = list(_faults(view))
    problems = []
    for message, outcomes in view.outcomes.items():
        first, asked = outcomes[0], view.asked.get(message)
        if asked is None or first["outcome"] != "expired" or view.texts.get(message):
            continue
        opened = next((r for r in view.histories.get(message, ()) if r.kind == "contact.requested.v1"), None)
        begin = max(opened.at_ms if opened else asked.expires_ms, asked.start_ms)
        spans = [*faults, *_frozen(view, message)]
        if (calm_ms := _calm_ms(begin, asked.expires_ms, spans)) >= ENOUGH_MS:
            problems.append(f"message {message}: expired with no text sent, {calm_ms} ms without a fault")
    return problems


def _faults(view: View) -> Iterator[Span]:
    """From the begin of each fault until the product had caught up; to the end of time if it never did."""
    began = 0
    for entry in view.seen.diary:
        if entry["did"] == "fault":
            began = began or entry["at"]
        elif entry["did"] == "recovered" and entry["in_time"]:
            yield began, entry["at"] + SETTLE_MS
            began = 0
    if began:
        yield began, 1 << 62


def _frozen(view: View, message: str) -> Iterator[Span]:
    """While a record of the contact was set aside."""
    contacts = {asked.key: contact_of(asked.message_id) for asked in view.asked.values()}
    for entry in view.seen.told("frozen"):
        if contacts.get(entry["key"]) == contact_of(message):
            thawed = (one["at"] for one in view.seen.told("thawing") if one["key"] == entry["key"])
            yield 0, next(thawed, 1 << 62)


def _calm_ms(begin: int, end: int, spans: list[Span]) -> int:
    """Of the time between the two, what lies in none of the spans."""
    calm_ms = 0
    for start, stop in sorted(spans):
        calm_ms += max(0, min(start, end) - begin)
        begin = max(begin, stop)
    return calm_ms + max(0, end - begin)


def unlearnt(view: View) -> list[str]:
    """No message stays unconfirmed or in doubt whose end Twilio's list shows: one of the looks at it was made without
    a fault, or the rule demands nothing."""
    faults = list(_faults(view))
    problems = []
    for message, outcomes in view.outcomes.items():
        last, texts = outcomes[-1], view.texts.get(message, [])
        # Of two texts of one message the list does not tell which attempt is whose.
        alone = len(texts) == len(last["attempts"]) == 1 and last["outcome"] in ("unconfirmed", "in_doubt")
        if alone and texts[0].fates and _was_looked_for(view, texts[0], last, faults):
            problems.append(f"message {message}: stays {last['outcome']}, and text {texts[0].sid} has its end")
    return problems


def _was_looked_for(view: View, text: Text, outcome: dict[str, Any], faults: list[Span]) -> bool:
    """Whether the last look fell due, and had the time it takes, when nothing was wrong and no outcome was given."""
    look_ms = text.at_ms + int(view.seen.look_after_s[-1] * 1000)
    closed = view.inputs.get(cause_of(outcome)[:2])
    end_ms = look_ms + LOOK_MS
    in_time = closed is not None and end_ms < closed.at_ms
    return in_time and not any(start < end_ms and look_ms - SETTLE_MS < stop for start, stop in faults)
