"""Whether the harness saw what it judges: rules over an empty diary hold for nothing."""

from ops.chaos.evidence import Evidence, attempt_of


def unseen(seen: Evidence) -> list[str]:
    """Creates that the wire did not show, or none at all: then the rules over calls and answers held for nothing."""
    called = {(call["message_id"], call["attempt"]) for call in seen.told("called")}
    attempts = {attempt_of(create) for create in seen.creates}
    problems = [f"message {name}: attempt {n} was created, no call was seen" for name, n in sorted(attempts - called)]
    return problems if seen.creates else ["nothing was created: the run proves nothing"]
