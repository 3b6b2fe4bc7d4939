"""`heliograph worker`: one worker process."""

import asyncio
import gc
import os
import signal
import sys

import click

from app import telemetry
from app.cli.output import say, say_json
from app.cli.process.reload import on_hangup
from app.cli.process.start import running, settings_or_exit
from app.cli.process.supervisor import supervise
from app.config.settings import Settings
from app.config.tenant_checks import sending_faults, unresolved_service_faults
from app.config.tenants import Tenant
from app.kafka.client import client_settings


@click.command("worker")
@click.option("--live", is_flag=True, help="Send through Twilio itself: real texts.")
@click.option("--supervised", is_flag=True, help="Start it again when it ended itself (exit 70, a signal).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line when ready.")
def command(live: bool, supervised: bool, as_json: bool) -> None:
    """Run one worker. It runs the agents intake, contacts, lanes, timers and metrics.

    Each worker needs a HELIOGRAPH_DATA_DIR of its own; several share the work. SIGTERM waits for open calls;
    SIGHUP reads the credentials of its tenants again, so that a token is rotated without a stop.

    Without --live it starts only where TWILIO_API_BASE_URL (or api_base_url of each tenant) names another server than
    Twilio's, such as the simulator, so that no test ever texts a stranger.

    --supervised is for where no systemd or the like does it: a worker that ended itself is started again after 0.5 s,
    1 s ... 30 s; what a new start cannot mend (exit 2 or 78) ends the supervisor with the same code.

    \b
    Examples:
      HELIOGRAPH_DATA_DIR=run/w1 heliograph worker --live
      TWILIO_API_BASE_URL=http://127.0.0.1:4010 heliograph worker --supervised
    """
    settings, tenants = settings_or_exit(dict(os.environ), keys=True, more=_unfit if not live else _unmade)
    telemetry.configure(settings.log_level)
    for warning in _silent(tenants):
        say(f"warning: {warning}", err=True)
    if supervised:
        given = [*(["--live"] if live else []), *(["--json"] if as_json else [])]
        sys.exit(supervise([sys.executable, "-m", "app", "worker", *given]))
    # Most objects of a slice die young; a collection of more of them at once would hold up whoever waits for a call.
    gc.set_threshold(20_000, 20, 50)
    from app.streams.engine.app import run

    with running(settings):
        run(lambda: _work(settings, tenants, as_json))


def _unfit(tenants: dict[str, Tenant]) -> list[str]:
    return _sending(tenants) + _unmade(tenants)


def _unmade(tenants: dict[str, Tenant]) -> list[str]:
    """Why its lanes could not send."""
    return [
        f"tenant {name}: {field}: {rule}"
        for name, one in tenants.items()
        for field, rule in unresolved_service_faults(one)
    ]


def _silent(tenants: dict[str, Tenant]) -> list[str]:
    """Of a tenant that cannot send the others must not suffer."""
    return [
        f"tenant {name}: {field}: {rule}; none of its texts leaves"
        for name, tenant in tenants.items()
        for field, rule in sending_faults(tenant)
    ]


def _sending(tenants: dict[str, Tenant]) -> list[str]:
    """Why it must not start without --live."""
    real = ", ".join(name for name, tenant in tenants.items() if tenant.account_sid and tenant.at_twilio)
    return [f"tenants {real} would send through Twilio itself: add --live, or set TWILIO_API_BASE_URL"] if real else []


async def _work(settings: Settings, tenants: dict[str, Tenant], as_json: bool) -> None:
    """Until a signal comes. Raises ClusterMismatchError, ListenError, KafkaConnectionError; the engine ends the
    process itself."""
    from app.kafka.cluster_check import require_own_contact_log, require_rights, require_topics
    from app.records.topics import Topics
    from app.streams.monitoring.health import serve
    from app.streams.worker import Worker

    topics, client = Topics(settings.topic_prefix, settings.group, tenants), client_settings(settings)
    await require_rights(client, topics, "worker")
    await require_topics(client, [topic.name for topic in topics.all.values()])
    await require_own_contact_log(client, topics.contacts, settings.pseudonym_key)
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    worker = Worker(settings, tenants)
    on_hangup(tenants, worker.log_in)
    host, port = settings.internal_host, settings.internal_port
    health = await serve(worker.runtime, worker.collectors, host, port, lambda: worker.monitor.problem)
    ready = loop.create_task(_say_ready(worker.runtime, health.url, as_json))
    gc.freeze()  # Faust collects garbage once per table at each rebalance: not through all that was imported
    await worker.run(stop)
    ready.cancel()
    await health.stop()


async def _say_ready(runtime: object, url: str, as_json: bool) -> None:
    while not (engine := getattr(runtime, "engine", None)) or not engine.health().assigned:
        await asyncio.sleep(0.02)
    gc.freeze()
    if as_json:
        line = {"worker": "ready", "internal": url, "pid": os.getpid()}
        say_json(line)
    else:
        say(f"worker ready, health on {url}/healthz")
