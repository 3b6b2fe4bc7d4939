"""Rules over what did not happen: a message that could be sent was sent. Pure."""

from collections.abc import Iterator

from ops.chaos.view import View, contact_of

# While nothing is wrong a message leaves within a second or two; after a fault those that waited leave at the lane's
# rate. So much time without a fault must have been enough, ms.
ENOUGH_MS = 10_000
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
    """No message stays unconfirmed or in doubt whose end Twilio's list showed while nothing was wrong."""
    problems = []
    for message, outcomes in view.outcomes.items():
        if outcomes[-1]["outcome"] in ("unconfirmed", "in_doubt"):
            ended = [text for text in view.texts.get(message, ()) if text.fates]
            problems += [f"message {message}: stays {outcomes[-1]['outcome']}, {t.sid} has its end" for t in ended]
    return problems
