"""A rule over exits: every end of a process is one that a fault asked for. Pure."""

import signal
from collections import defaultdict

from ops.chaos.evidence import Evidence


def unasked_exits(seen: Evidence) -> list[str]:
    """Every process that ended did so by a signal of the harness, or as the fault at hand makes it (`exits`).

    A fault's exits are allowed until the next fault begins: a process that was paused ends when it goes on.
    """
    sent: defaultdict[str, set[int]] = defaultdict(set)
    exits: set[int] = set()
    kind, problems = "the start", []
    for entry in seen.diary:
        if entry["did"] == "fault":
            exits, kind = set(entry.get("exits", ())), entry["kind"]
        elif entry["did"] == "signaled":
            sent[entry["part"]].add(entry["signal"])
        elif entry["did"] == "died":
            code, signals = entry["code"], sent.pop(entry["part"], set())
            ended = -code in signals or (code == 0 and signal.SIGTERM in signals)
            if not ended and code not in exits:
                problems.append(f"{entry['part']} ended with {code} after {kind}: {entry.get('said', '')}")
    return problems
