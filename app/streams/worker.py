"""The worker: settings to agents, agents to engine, and what runs beside them: calls, timers, lister, journal."""

import asyncio
from collections import Counter
from collections.abc import Coroutine, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
import phonenumbers

from app import telemetry
from app.config.settings import Settings
from app.config.tenants import Tenant
from app.domain.metrics.series import Lists
from app.domain.model.identity import key_fingerprint
from app.durable.journal import Journal
from app.kafka.client import client_settings, faust_settings
from app.kafka.progress_monitor import WorkerMonitor
from app.provider.concurrency_limiter import ConcurrencyLimiter, TenantQueue
from app.provider.http import Timeouts
from app.provider.status_mapping import ERRORS
from app.provider.twilio import TwilioProvider
from app.records.seal import Sealer
from app.records.topics import Topics
from app.streams.agents.bulk import BulkAgent, BulkPacer
from app.streams.agents.caller_fields import SealedCallerFields
from app.streams.agents.contacts import ContactsAgent
from app.streams.agents.dead_letters import DeadLetters
from app.streams.agents.due_timers import DueTimers
from app.streams.agents.expansion import RequestExpansion
from app.streams.agents.intake import IntakeAgent
from app.streams.agents.lanes import LanesAgent
from app.streams.agents.metrics import MetricsAgent
from app.streams.agents.outputs import OutputBuilder
from app.streams.agents.policy_resolver import PolicyResolver
from app.streams.agents.recipient_inputs import InputContext
from app.streams.engine.agent import Agent
from app.streams.engine.app import EngineConfig, Runtime
from app.streams.engine.process_exit import die
from app.streams.monitoring.contained_faults import ContainedFaults, TolerantSender
from app.streams.monitoring.frozen_contacts import FrozenContacts
from app.streams.monitoring.health import FaultCollector, GateCollector, LookupCollector
from app.streams.monitoring.in_doubt import AttemptsInDoubt
from app.streams.monitoring.lag import LagCollector, PoisonCollector
from app.streams.monitoring.stopped_lanes import StoppedLanes
from app.streams.reconcile.reconciler import Reconciler
from app.streams.reconcile.scheduled_cancels import ScheduledCancels
from app.streams.sending.calls import CallRunner
from app.streams.sending.create_request import CreateRequestBuilder
from app.streams.sending.result_journal import ResultJournal

log = telemetry.logger(__name__)
_encode = msgspec.json.Encoder().encode
# From the end of the last call until its answer is on the log, where a stop waits for both.
ENDING_S = 5.0
# With more slices waiting the worker is behind, and requests of many recipients are not expanded for a while.
BEHIND_SLICES = 2


class Worker:
    """One process's worth. Build inside the running loop; `run` until `stop` is set."""

    def __init__(self, settings: Settings, tenants: Mapping[str, Tenant]) -> None:
        self._settings, self._tenants = settings, tenants
        self._pk = key_fingerprint(settings.pseudonym_key)
        self._topics = Topics(settings.topic_prefix, settings.group, tenants)
        self._sealer = Sealer(settings.seal_keys)
        self._dead_letters = DeadLetters(self._topics.deadletters, self._sealer)
        self.runtime = Runtime(_engine_config(settings), self._agents)
        self._journal = Journal(self.runtime.data.path / "answers.journal")
        self.runtime.started.append(self._start_effects)
        self.runtime.stopping.append(self._stop_effects)
        self._background: list[asyncio.Task[None]] = []
        self.doubts, self.circuits = AttemptsInDoubt(), StoppedLanes(int(settings.probe_after_s * 1000))
        self.lines = _lines(tenants, settings.call_concurrency)
        self._lookups: Counter[tuple[str, str]] = Counter()
        self._faults: Counter[str] = Counter(dict.fromkeys(tenants, 0))
        self._contained = ContainedFaults()
        self.monitor, self._frozen = WorkerMonitor.of(settings, tenants), FrozenContacts()
        counted = (
            GateCollector(self.lines),
            LookupCollector(self._lookups),
            FaultCollector(self._faults),
            self._contained,
        )
        self.runtime.set_aside.update(dict.fromkeys(self._topics.sources, 0))
        poison = PoisonCollector(self.runtime.set_aside, self._frozen.count)
        self.collectors = (self.doubts, self.circuits, *counted, poison, LagCollector(self.monitor, self._owns))
        self._logins, self._providers = tenants, dict[str, TwilioProvider]()

    def _owns(self, topic: str, partition: int) -> bool:
        """Whether a partition runs here; none does before the engine is built."""
        engine = getattr(self.runtime, "engine", None)
        return engine is not None and engine.owns(topic, partition)

    def _agents(self) -> Sequence[Agent]:
        settings, topics, letters = self._settings, self._topics, self._dead_letters
        caller_fields = SealedCallerFields(self._sealer, self._contained)
        notices, composer = OutputBuilder(topics, caller_fields), CreateRequestBuilder(self._tenants, self._sealer)
        checkpoint_after_ms = int(settings.checkpoint_after_s * 1000)
        self.contacts = ContactsAgent(
            topics.contacts, notices, composer, letters, self._pk, self.doubts, checkpoint_after_ms, self._contained
        )
        self.contacts.frozen_contacts = self._frozen
        self._lanes = LanesAgent(
            topics.lanes, topics.contacts, self._tenants, self._pk, letters, self.circuits, self._contained
        )
        context = InputContext(topics.contacts, self._sealer, settings.pseudonym_key, self._pk, letters)
        expansion = RequestExpansion(self._tenants, PolicyResolver(settings), context, topics.request_tenants)
        self._bulk_pacer = BulkPacer(settings.bulk_rate)
        owned = {"": topics.requests} | {owner: topic for topic, owner in topics.request_tenants.items()}
        intakes = [IntakeAgent(topic, topics.bulk, expansion, owner) for owner, topic in owned.items()]
        bulk = BulkAgent(topics.bulk, expansion, self._bulk_pacer)
        metrics = MetricsAgent(topics.updates, topics.metrics, _lists(self._tenants), letters)
        return [*intakes, self.contacts, self._lanes, metrics, bulk]

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set; see `Runtime.run` for what is raised."""
        await self.runtime.run(stop)
        self._journal.close()

    async def _start_effects(self) -> None:
        self.monitor.start()
        engine = self.runtime.engine
        self._bulk_pacer.behind = lambda: engine.health().waiting > BEHIND_SLICES
        self._lanes.wake = lambda partition: engine.wake("lanes", partition)
        contacts = self._topics.contacts
        self.contacts.appended_after = lambda *place: engine.appended_after(contacts, *place)
        answers = ResultJournal(contacts, self._journal, self._sender("answer").one)
        self._providers |= {
            name: _provider(tenant, self._settings, self.lines[name].gate) for name, tenant in self._tenants.items()
        }
        self.log_in(self._logins)
        calls = self.contacts.calls = self._calls(answers)
        self._lanes.room = calls.room
        if left := await answers.replay():
            log.info("answers.replayed", count=left)
        self._lister = Reconciler(
            self._tenants, self._providers, self.lines, engine, self._lanes.looked, self._settings, self._contained
        )
        self._recalls = ScheduledCancels(
            self._providers,
            self.lines,
            self._lister.row,
            self._sender("recall"),
            self._contained,
            topic=contacts,
            pk=self._pk,
        )
        self._beside(self._timers().run(), "timers")
        for tenant in self._tenants:
            self._beside(self._lister.run(tenant), f"lister {tenant}")

    def _calls(self, answers: ResultJournal) -> CallRunner:
        return CallRunner(
            self._providers,
            self.lines,
            answers.put,
            self.runtime.engine.lease,
            die,
            pk=self._pk,
            claim_ttl_s=self._settings.claim_ttl_s,
            lookups=self._lookups,
            faults=self._faults,
        )

    def _sender(self, work: str) -> TolerantSender:
        return TolerantSender(self.runtime.engine.send_all, self._contained, work)

    def _timers(self) -> DueTimers:
        put, want, topic = self._sender("timers"), (self._lister.want, self._recalls.want), self._topics.contacts
        folded_to = partial(self.runtime.engine.folded_to, topic)
        return DueTimers(self.contacts, put, *want, self._contained, topic=topic, pk=self._pk, folded_to=folded_to)

    def log_in(self, tenants: Mapping[str, Tenant]) -> None:
        """From its next call on a tenant that is known here logs in with these credentials, if its account is the same.

        Everything else of a tenant is as it was when the worker was built.
        """
        self._logins = tenants
        for name, provider in self._providers.items():
            now, built = tenants.get(name), self._tenants[name]
            if now is not None and now.account_sid == built.account_sid:
                provider.log_in(now.credentials)

    def _beside(self, work: Coroutine[Any, Any, None], name: str) -> None:
        self._background.append(asyncio.get_running_loop().create_task(work, name=name))
        self._background[-1].add_done_callback(_must_not_end)

    async def _stop_effects(self) -> None:
        """No further call leaves; open ones end with their answers on the log."""
        if self.contacts.calls is not None:
            await self.contacts.calls.close()
        for task in self._background:
            task.cancel()
        await self._recalls.close()
        await self.monitor.stop()
        for provider in self._providers.values():
            await provider.close()


def _lines(tenants: Mapping[str, Tenant], concurrency: int) -> dict[str, TenantQueue]:
    """By tenant: Twilio limits the requests at once of an account, whoever has it."""
    gates: dict[tuple[str, str], ConcurrencyLimiter] = {}
    at = {name: (tenant.api_base_url, tenant.account_sid) for name, tenant in tenants.items()}
    return {name: gates.setdefault(account, ConcurrencyLimiter(concurrency)).line(name) for name, account in at.items()}


def _provider(tenant: Tenant, settings: Settings, gate: ConcurrencyLimiter) -> TwilioProvider:
    timeouts = Timeouts(settings.http_connect_s, settings.http_read_s, settings.http_timeout_s)
    return TwilioProvider(
        tenant.account_sid, tenant.credentials, tenant.api_base_url, timeouts, settings.call_concurrency, gate
    )


def _lists(tenants: Mapping[str, Tenant]) -> Lists:
    return Lists(
        lanes={name: frozenset(tenant.lanes) for name, tenant in tenants.items()},
        countries=frozenset(phonenumbers.SUPPORTED_REGIONS),
        codes=frozenset(str(code) for code in ERRORS),
    )


def _engine_config(settings: Settings) -> EngineConfig:
    given = client_settings(settings)
    servers = given.pop("bootstrap_servers")
    return EngineConfig(
        app_id=settings.group,
        servers=servers,
        data_dir=settings.data_dir,
        positions=Topics(settings.topic_prefix, settings.group).positions,
        partitions=settings.partitions,
        session_timeout_s=settings.session_timeout_s,
        stall_timeout_s=settings.stall_timeout_s,
        effects_s=settings.http_timeout_s + ENDING_S,
        client=given,
        faust=faust_settings(settings),
    )


def _must_not_end(task: "asyncio.Task[None]") -> None:
    if not task.cancelled():
        die(f"{task.get_name()} ended: {type(task.exception()).__name__}")
