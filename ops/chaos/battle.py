"""One run: everything up, load, faults with calm between, a long calm, the checker."""

import asyncio
import random
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from aiokafka import AIOKafkaConsumer

from ops.chaos import checker, doubt, evidence_file, sight
from ops.chaos.deadlines import Deadlines
from ops.chaos.diary import Diary, read_diary
from ops.chaos.evidence import TOPICS, Evidence, read_topic, topic_name
from ops.chaos.ground import Fault, Ground
from ops.chaos.lag import Lag
from ops.chaos.load import Load
from ops.chaos.poison_rules import latest_expiry_ms, wanted_outcomes
from ops.chaos.replay import replay_equal
from ops.chaos.schedule import EXITS, KINDS, order
from ops.chaos.stand import PREFIX, Stand
from ops.chaos.tenants_file import REQUEST_TOPICS, RETRIES_S

SHOWN = 12
SETTLE_S = 5.0
# Faults, calm and recovery take time: none begins when so little of the given time is left.
LAST_FAULT_S = 20.0
# How texts end, by weight: as the simulator has it, and some that are reported as undelivered and then as delivered.
MIX = {"delivered": 0.86, "undelivered": 0.05, "failed": 0.02, "silent": 0.03, "corrected": 0.04}
# A point may lie idle once for want of work; not so often.
MOST_MISSED = 3


@dataclass(frozen=True)
class Plan:
    """`seconds` or `faults`: how long, or how many; `among`: the set of kinds; `only`: these kinds; `plant`: a planted
    fault."""

    seconds: float | None
    faults: int | None
    seed: int
    among: str
    only: tuple[str, ...]
    rate: float
    plant: str
    deadlines: Deadlines


@dataclass(frozen=True)
class Result:
    """`summary`: the object of --json; `problems`: a line each."""

    summary: dict[str, Any]
    problems: list[str] = field(default_factory=list)

    @property
    def kept(self) -> bool:
        """Whether every promise held."""
        zeros = not any(self.summary[name] for name in checker.NAMES)
        return zeros and self.summary["replay_equal"] is True and not self.problems

    def told(self) -> str:
        """For people."""
        return "\n".join(f"{name:22} {value}" for name, value in self.summary.items())


class Run:
    """See the module. `say` shows progress. Raises BrokerError, ProcessError."""

    def __init__(self, plan: Plan, directory: Path, diary: Diary, say: Callable[[str], None]) -> None:
        self._plan, self._directory, self._diary, self._say = plan, directory, diary, say
        self._rng = random.Random(plan.seed)
        brokers, small_disk = 3 if plan.among == "brokers" else 1, plan.among == "disks"
        self._stand = Stand(
            *(directory, plan.deadlines, diary, random.Random(), plan.plant), brokers=brokers, small_disk=small_disk
        )
        self._done: Counter[str] = Counter()
        self._missed: Counter[str] = Counter()
        self._pairs = 0
        self._recovered: list[float] = []
        self._problems: list[str] = []
        self._undone = time.monotonic()

    async def go(self) -> Result:
        """The whole run."""
        self._say(f"seed {self._plan.seed}; deadlines in s: {self._plan.deadlines.told()}")
        try:
            await self._stand.start()
            await self._stand.configure_simulator(mix=MIX)
            self._lag = self._lagging()
            self._load = Load(self._stand, self._diary, self._plan.deadlines, self._branch(), self._plan.rate)
            await self._load.start()
            self._say("up; load runs")
            await self._faults()
            await self._load.stop()
            await self._settle()
            seen = await self._evidence()
            equal = await replay_equal(self._stand.environment(""), self._directory / "logs" / "replay.log")
        finally:
            await self._stand.stop()
            self._diary.close()
        return self._result(seen, equal)

    def _branch(self) -> random.Random:
        return random.Random(self._rng.random())

    def _lagging(self) -> Lag:
        servers = self._stand.servers
        topics = tuple(PREFIX + name for name in (*REQUEST_TOPICS, "contacts", "lanes", "bulk", "notify.updates"))
        return Lag(servers, self._stand.settings().group, topics)

    async def _faults(self) -> None:
        ground = Ground(self._stand, self._branch(), self._diary, self._plan.deadlines, problems=self._problems)
        await asyncio.sleep(SETTLE_S)
        began, kinds = time.monotonic(), order(self._branch(), self._plan.only, self._plan.among)
        while self._more(time.monotonic() - began):
            await self._fault(next(kinds), ground)

    def _more(self, passed: float) -> bool:
        if self._plan.faults is not None:
            return sum(self._done.values()) < self._plan.faults and not self._unreachable()
        return passed + LAST_FAULT_S < (self._plan.seconds or 0)

    async def _fault(self, kinds: tuple[str, ...], ground: Ground) -> None:
        """One fault, or two at once."""
        name, faults = "+".join(kinds), [KINDS[kind]() for kind in kinds]
        missed = await self._done_and_undone(kinds, faults, ground)
        took = await self._recovery()
        self._diary.note("recovered", kind=name, in_time=took is not None)
        self._undone = time.monotonic()
        if took is None:
            self._problems.append(f"not recovered within {self._plan.deadlines.recover:g} s after {name}")
        else:
            self._recovered.append(took)
        if not self._load.healthy():
            self._problems.append("the load generator failed")
        recovered = "NOT recovered" if took is None else f"recovered in {took:.1f} s"
        idle = f" ({', '.join(missed)} was not reached: not counted)" if missed else ""
        self._say(f"{sum(self._done.values())} {name}{idle}: {recovered}; {self._load.acked} acknowledged")
        await asyncio.sleep(ground.rng.uniform(*self._plan.deadlines.calm))

    async def _done_and_undone(self, kinds: tuple[str, ...], faults: list[Fault], ground: Ground) -> list[str]:
        """From the first `do` to the last `undo`; the kinds whose point was not reached."""
        exits, missed = sorted({code for kind in kinds for code in EXITS.get(kind, ())}), []
        for kind, fault in zip(kinds, faults, strict=True):
            ground.missed = False
            self._diary.note("fault", kind=kind, exits=exits)
            await fault.do(ground)
            missed += [kind] if ground.missed else []
        await asyncio.sleep(max(fault.lasts_s for fault in faults))
        for kind, fault in zip(kinds, faults, strict=True):
            await fault.undo(ground)
            self._diary.note("undone", kind=kind)
        self._missed.update(missed)
        self._done.update(kind for kind in kinds if kind not in missed)
        self._pairs += len(kinds) == 2
        return missed

    def _unreachable(self) -> list[str]:
        """Points that nobody comes to any more: whoever took one away would see a run without faults succeed."""
        return [f"{kind}: its point was not reached {n} times" for kind, n in self._missed.items() if n >= MOST_MISSED]

    async def _recovery(self) -> float | None:
        """Seconds until every process is ready and all that was on the topics is committed; None: it takes too long."""
        began, patience = time.monotonic(), self._plan.deadlines.recover
        caught = await self._lag.caught_up(patience)
        ready = [await self._stand.ready(name, patience) for name in tuple(self._stand.parts)]
        return None if caught is None or not all(ready) else time.monotonic() - began

    async def _settle(self) -> None:
        """Until every acknowledged request has its outcome, or the last deadline has passed."""
        deadlines = self._plan.deadlines
        diary = read_diary(self._diary.path)
        wanted, late_s = wanted_outcomes(diary), latest_expiry_ms(diary) / 1000 - time.time()
        patience = round(max(deadlines.expires, late_s) + deadlines.grace + 30)
        self._say(f"load stopped; waiting for {wanted.total()} outcomes, {patience:g} s at most")
        try:
            async with asyncio.timeout(patience):
                await self._outcomes(wanted)
        except TimeoutError:
            self._say("some outcomes are missing")
        await self._lag.caught_up(deadlines.recover)
        # Late callbacks, and rows put once more after a take-over: two sessions and a little from the last fault on.
        put_again_s = self._undone + 2 * deadlines.session - time.monotonic()
        await asyncio.sleep(max(0.0, put_again_s) + SETTLE_S)
        await self._lag.caught_up(deadlines.recover)

    async def _outcomes(self, wanted: Counter[str]) -> None:
        consumer = AIOKafkaConsumer(
            f"{PREFIX}notify.outcomes",
            bootstrap_servers=self._stand.servers,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )
        await consumer.start()
        found: defaultdict[str, set[str]] = defaultdict(set)
        left = set(wanted)
        try:
            while left:
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    for key, message in (_identity(record.value) for record in records):
                        found[key].add(message)
                left = {key for key in left if len(found[key]) < wanted[key]}
        finally:
            await consumer.stop()

    async def _evidence(self) -> Evidence:
        servers, settings = self._stand.servers, self._stand.settings()
        topics = {short: await read_topic(topic_name(short, PREFIX, settings.group), servers) for short in TOPICS}
        url = f"http://127.0.0.1:{self._stand.simulator_port}/_sim/creates"
        async with aiohttp.ClientSession() as http, http.get(url) as answer:
            creates = (await answer.json())["creates"]
        deadlines, diary = self._plan.deadlines, read_diary(self._diary.path)
        seen = Evidence(
            *(topics, creates, diary),
            claim_ttl_s=deadlines.claim_ttl,
            grace_s=deadlines.grace,
            look_after_s=deadlines.looks,
            retries=len(RETRIES_S),
            longest_retry_s=1.2 * RETRIES_S[-1],
            prefix=PREFIX,
        )
        evidence_file.save(seen, self._directory / evidence_file.NAME)
        return seen

    def _result(self, seen: Evidence, equal: bool | None) -> Result:
        problems = checker.judge(seen)
        found = doubt.doubts(seen)
        took = sorted(d.took_ms / 1000 for d in found if d.took_ms is not None)
        if found:
            self._say(f"{len(found)} in doubt: {doubt.causes(found)}")
        if took:
            self._say(f"resolved in p50 {statistics.median(took):.1f} s, max {took[-1]:.1f} s")
        summary = {
            "faults": dict(self._done),
            "two_at_once": self._pairs,
            "messages": len({entry["key"] for entry in seen.told("requested")}),
            "poison": sum(entry["did"] in ("produced", "poisoned") for entry in seen.diary),
            "creates": len(seen.creates),
            **checker.counts(problems),
            "replay_equal": equal,
            "in_doubt": doubt.tally(found),
            "recovery_seconds": _span(self._recovered),
        }
        lines = [f"{name}: {line}" for name, lines in problems.items() for line in _shown(lines)]
        if equal is not True:
            said = (self._directory / "logs" / "replay.log").read_text().splitlines()
            self._problems += [f"replay_equal: {line}" for line in _shown(said)]
        unseen = [*sight.unseen(seen), *self._unreachable()]
        return Result(summary, [*self._problems, *_shown(unseen), *lines])


def _identity(raw: bytes) -> tuple[str, str]:
    """Idempotency key and message of an outcome."""
    value = orjson.loads(raw)
    return value["idempotency_key"], value["message_id"]


def _shown(lines: list[str]) -> list[str]:
    more = len(lines) - SHOWN
    return lines[:SHOWN] + ([f"... and {more} more"] if more > 0 else [])


def _span(seconds: list[float]) -> dict[str, float]:
    if not seconds:
        return {"p50": 0.0, "max": 0.0}
    return {"p50": round(statistics.median(seconds), 1), "max": round(max(seconds), 1)}
