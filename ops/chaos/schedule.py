"""Every kind of fault, and a seeded order of them."""

import random
import signal
from collections.abc import Callable, Iterator, Sequence

from app.streams.engine.process_exit import CONFIG, FAULT
from ops.chaos.broker_faults import BrokersRolled, OneBrokerKilled, OneBrokerPaused
from ops.chaos.clocks import ClockStep
from ops.chaos.disks import DiskFullBroker, DiskFullWorker
from ops.chaos.ground import Fault
from ops.chaos.heavy_poisons import PoisonCampaign, PoisonInflation, PoisonOversized
from ops.chaos.networks import BrokerKilled, BrokerPaused, KafkaAway, Line, Poison, SlowAnswers, Twilio
from ops.chaos.pairs import paired
from ops.chaos.poisons import PoisonCodecs, PoisonHeaders, PoisonPayloads, PoisonTransactions
from ops.chaos.processes import (
    DieAt,
    DieUnheard,
    DiskLost,
    DiskLostDuringCall,
    Kill,
    KillSlow,
    Pause,
    PauseAt,
    Terminate,
    Third,
)
from ops.chaos.replays import WebhooksReplayed
from ops.chaos.rotations import KeyRotation, Rolling
from ops.chaos.topic_faults import Compaction, TopicRecreated
from ops.chaos.trapped_records import deadly, refused_output

# On a stand of one broker.
MAIN: dict[str, Callable[[], Fault]] = {
    "worker_kill": Kill,
    "kill_after_outputs": lambda: DieAt("after_outputs", 60),
    "kill_after_rows": lambda: DieAt("after_rows", 60),
    "kill_after_claim": lambda: DieAt("after_claim", 12),
    "kill_during_call": lambda: DieAt("during_call", 12),
    "kill_unheard": DieUnheard,
    "kill_after_answer": lambda: DieAt("after_answer", 12),
    "kill_after_journal": lambda: DieAt("after_journal", 12),
    "kill_during_recovery": lambda: DieAt("during_recovery", 3, wiped=True),
    "worker_pause": Pause,
    "pause_after_outputs": lambda: PauseAt("after_outputs", 60),
    "pause_after_claim": lambda: PauseAt("after_claim", 8),
    "worker_term": Terminate,
    "third_worker": Third,
    "rolling_restart": Rolling,
    "key_rotation": KeyRotation,
    "webhooks_replayed": WebhooksReplayed,
    "clock_step": ClockStep,
    "compaction": Compaction,
    "topic_recreated": TopicRecreated,
    "disk_lost": DiskLost,
    "kill_slow": KillSlow,
    "disk_lost_during_call": DiskLostDuringCall,
    "kafka_cut_slow_answers": SlowAnswers,
    "broker_kill": BrokerKilled,
    "broker_pause": BrokerPaused,
    "ingress_kill": lambda: Kill("ingress"),
    "kafka_away": KafkaAway,
    "kafka_delay": lambda: Line("kafka", "delay"),
    "kafka_cut": lambda: Line("kafka", "cut"),
    "kafka_reset": lambda: Line("kafka", "reset"),
    "kafka_half_open": lambda: Line("kafka", "hold"),
    "twilio_delay": lambda: Line("twilio", "delay"),
    "twilio_cut": lambda: Line("twilio", "cut"),
    "twilio_reset": lambda: Line("twilio", "reset"),
    "twilio_half_open": lambda: Line("twilio", "hold"),
    "accept_then_timeout": lambda: Twilio(accept_then_timeout=0.2),
    "accept_then_late": lambda: Twilio(accept_then_timeout=0.3, late=1.0, late_ms=5000),
    "accept_then_500": lambda: Twilio(accept_then_500=0.2),
    "throttle": lambda: Twilio(throttle=0.6),
    "carrier_overflow": lambda: Twilio(overflow=0.5),
    "callback_before_answer": lambda: Twilio(before_response=0.5),
    "callback_duplicate": lambda: Twilio(duplicate=0.6),
    "callback_reorder": lambda: Twilio(reorder=0.6),
    "callback_late": lambda: Twilio(late=0.5, late_ms=6000),
    "callback_lost": lambda: Twilio(lost=0.4),
    "poison": Poison,
    "poison_headers": PoisonHeaders,
    "poison_codecs": PoisonCodecs,
    "poison_transactions": PoisonTransactions,
    "poison_payloads": PoisonPayloads,
    "poison_oversized": PoisonOversized,
    "poison_inflation": PoisonInflation,
    "poison_campaign": PoisonCampaign,
    "poison_deadly": deadly,
    "poison_refused_output": refused_output,
}
# Full disks: mounts, which take root.
DISKS: dict[str, Callable[[], Fault]] = {
    "disk_full_worker": DiskFullWorker,
    "disk_full_broker": DiskFullBroker,
}
# Three brokers, three replicas, of which two must have a record.
BROKERS: dict[str, Callable[[], Fault]] = {
    "one_broker_killed": OneBrokerKilled,
    "one_broker_paused": OneBrokerPaused,
    "brokers_rolled": BrokersRolled,
}
SETS = {"main": MAIN, "disks": DISKS, "brokers": BROKERS}
KINDS = {**MAIN, **DISKS, **BROKERS}

# Exits that a fault may cause in workers and ingress, by kind. 70: the process ended itself, as it must when it was
# paused or cut off from Kafka for longer than its session; others of the group may find what it wrote late.
_CUT_OFF = (
    *("worker_pause", "pause_after_outputs", "pause_after_claim", "broker_kill", "broker_pause", "kafka_away"),
    *("kafka_delay", "kafka_cut", "kafka_reset", "kafka_half_open", "kafka_cut_slow_answers"),
    *("kill_slow", "disk_lost_during_call"),
    *("disk_full_worker", "disk_full_broker", "one_broker_killed", "one_broker_paused", "brokers_rolled"),
)
# 78: a worker refuses what an operator must settle.
EXITS: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(_CUT_OFF, (FAULT,)),
    "poison_deadly": (-signal.SIGSEGV,),
    "topic_recreated": (FAULT, CONFIG),
}


def order(rng: random.Random, only: Sequence[str] = (), among: str = "main") -> Iterator[tuple[str, ...]]:
    """What comes next, without end: one kind or two at once; each once in some order, then again in another.

    `only`: these kinds, one at a time; else those of the set `among`.
    """
    kinds = list(only or SETS[among])
    while True:
        rng.shuffle(kinds)
        yield from ((kind,) for kind in kinds) if only else paired(rng, kinds)
