"""Which faults may be on at once: those that lay hands on different things, and of which neither needs what the other
takes away."""

import random
from collections.abc import Iterator, Sequence

# Of the kinds that may have company: what they lay hands on. All others come alone.
WORKERS, TWILIO, SIMULATOR, INGRESS, KAFKA = "workers", "Twilio's line", "simulator", "ingress", "kafka"
_BY_HAND = {
    WORKERS: (
        *("worker_kill", "worker_pause", "worker_term", "clock_step"),
        *("kill_after_outputs", "kill_after_rows", "kill_after_claim", "kill_during_call", "kill_after_answer"),
        *("kill_after_journal", "pause_after_outputs", "pause_after_claim"),
    ),
    TWILIO: ("twilio_delay", "twilio_cut", "twilio_reset", "twilio_half_open"),
    SIMULATOR: (
        *("accept_then_timeout", "accept_then_late", "accept_then_500", "throttle", "carrier_overflow"),
        *("callback_before_answer", "callback_duplicate", "callback_reorder", "callback_late", "callback_lost"),
    ),
    INGRESS: ("ingress_kill",),
    KAFKA: ("broker_kill", "broker_pause", "kafka_delay", "kafka_cut", "kafka_reset", "kafka_half_open"),
}
HANDS = {kind: hand for hand, kinds in _BY_HAND.items() for kind in kinds}
# A worker that is waited for at a point does not come there without Kafka, nor calls without a line to Twilio.
_APART = ({WORKERS, KAFKA}, {WORKERS, TWILIO})
# How many of the kinds that may have company get some.
SHARE = 0.25


def may_meet(one: str, other: str) -> bool:
    """Whether two kinds may be on at once."""
    hands = {HANDS.get(one), HANDS.get(other)}
    return None not in hands and len(hands) == 2 and hands not in _APART


def paired(rng: random.Random, kinds: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Each kind once, in order but for those that were brought forward to another one's company.

    In a pair a fault of workers is the second: when a worker is waited for, the other one is on.
    """
    left = list(kinds)
    while left:
        kind = left.pop(0)
        others = [other for other in left if may_meet(kind, other)]
        if not others or rng.random() >= SHARE:
            yield (kind,)
            continue
        other = rng.choice(others)
        left.remove(other)
        first, second = sorted((kind, other), key=lambda one: HANDS[one] == WORKERS)
        yield first, second
