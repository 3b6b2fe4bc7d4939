"""`heliograph bridge`: notify.metrics served to Prometheus."""

import asyncio
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from app import telemetry
from app.cli.options.ports import PORT
from app.cli.output import say, say_json
from app.cli.process.runner import until_signal
from app.cli.process.start import running, settings_or_exit
from app.config.settings import Settings
from app.config.tenants import Tenant
from app.kafka.client import client_settings

if TYPE_CHECKING:
    from app.bridge.counters import Counters
    from app.bridge.reader import MetricsReader
    from app.internal_server import InternalServer

# Shown at zero before their first record; other countries join when they come.
COUNTRIES = ("US", "other")


@click.command("bridge")
@click.option("--port", type=PORT, default=None, help="Default: HELIOGRAPH_BRIDGE_PORT; 0: any free port.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line when ready.")
def command(port: int | None, as_json: bool) -> None:
    """Serve metrics to Prometheus. Publishes notify.metrics as Prometheus counters and histograms on /metrics.

    \b
    Example:
      heliograph bridge --port 9103
    """
    settings, tenants = settings_or_exit(dict(os.environ))
    telemetry.configure(settings.log_level)
    with running(settings):
        asyncio.run(_bridge(settings, tenants, settings.bridge_port if port is None else port, as_json))


async def _bridge(settings: Settings, tenants: Mapping[str, Tenant], port: int, as_json: bool) -> None:
    """Until a signal comes. Raises ClusterMismatchError, ListenError, or what ended the reading."""
    from app.bridge.counters import Counters
    from app.bridge.reader import MetricsReader
    from app.domain.metrics.series import beforehand
    from app.kafka.cluster_check import require_rights, require_topics
    from app.records.topics import Topics

    topics, client = Topics(settings.topic_prefix, settings.group), client_settings(settings)
    await require_rights(client, topics, "bridge")
    await require_topics(client, [topics.metrics])
    counters = Counters(beforehand({name: tuple(tenant.lanes) for name, tenant in tenants.items()}, COUNTRIES))
    reader = MetricsReader(topics.metrics, f"{settings.group}-bridge", counters, client)
    try:
        served = _page(reader, counters, settings.internal_host, port)
        await served.listening()
        try:
            await until_signal(_read(reader, served.url, as_json))
        finally:
            await served.stop()
    finally:
        await reader.stop()


def _page(reader: "MetricsReader", counters: "Counters", host: str, port: int) -> "InternalServer":
    """Health is served at once, metrics when they may be seen."""
    from prometheus_client import CollectorRegistry, ProcessCollector

    from app.internal_server import InternalServer, internal_app

    registry = CollectorRegistry()
    registry.register(counters)
    ProcessCollector(registry=registry)
    return InternalServer(internal_app(reader.alive, reader.waiting, registry, reader.waiting), host, port)


async def _read(reader: "MetricsReader", url: str, as_json: bool) -> None:
    await reader.start()
    saying = asyncio.ensure_future(_say_ready(reader, f"{url}/metrics", as_json))
    try:
        await reader.run()
    finally:
        saying.cancel()


async def _say_ready(reader: "MetricsReader", url: str, as_json: bool) -> None:
    await reader.ready.wait()
    say_json({"metrics": url, "pid": os.getpid()}) if as_json else say(f"metrics on {url}")
