"""`heliograph bridge`: notify.metrics served to Prometheus."""

import asyncio
import os
import signal
from collections.abc import Mapping

import click
import orjson

from app import kafka, telemetry
from app.cli import running, settings_or_exit
from app.settings import Settings
from app.tenants import Tenant


@click.command("bridge")
@click.option("--port", type=int, default=None, help="Default: HELIOGRAPH_BRIDGE_PORT; 0: any free port.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line when ready.")
def command(port: int | None, as_json: bool) -> None:
    """Serve notify.metrics as Prometheus counters and histograms on /metrics.

    \b
    Example:
      heliograph bridge --port 9103
    """
    settings, tenants = settings_or_exit(dict(os.environ))
    telemetry.configure(settings.log_level)
    with running(settings):
        asyncio.run(_serve(settings, tenants, settings.bridge_port if port is None else port, as_json))


async def _serve(settings: Settings, tenants: Mapping[str, Tenant], port: int, as_json: bool) -> None:
    """Until a signal comes. Raises Unfit, CannotListen, or what ended the reading."""
    from prometheus_client import CollectorRegistry

    from app.bridge.counters import Counters
    from app.bridge.reader import Reader
    from app.internal import Served, internal_app
    from app.records.fit import must_exist
    from app.records.topics import Topics

    counters, registry = Counters(_known(tenants)), CollectorRegistry()
    registry.register(counters)
    topics, client = Topics(settings.topic_prefix, settings.group), kafka.client(settings)
    await must_exist(client, [topics.metrics])
    reader = Reader(topics.metrics, f"{settings.group}-bridge", counters, client)
    await reader.start()
    served = Served(internal_app(lambda: "", lambda: "", registry), settings.internal_host, port)
    await served.listening()
    _say(f"{served.url}/metrics", as_json)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    reading, stopping = asyncio.ensure_future(reader.run()), asyncio.ensure_future(stop.wait())
    await asyncio.wait((reading, stopping), return_when=asyncio.FIRST_COMPLETED)
    reading.cancel()
    await served.stop()
    await reader.stop()
    if reading.done() and not reading.cancelled():
        reading.result()


def _known(tenants: Mapping[str, Tenant]) -> dict[str, tuple[str, ...]]:
    """Label values known beforehand: their series start at zero."""
    from app.domain.words import ErrorClass, Word

    return {
        "tenant": tuple(tenants),
        "lane": tuple({name for tenant in tenants.values() for name in tenant.lanes}),
        "outcome": tuple(Word),
        "error_class": tuple(ErrorClass),
        "country": ("US", "other"),
    }


def _say(url: str, as_json: bool) -> None:
    click.echo(orjson.dumps({"metrics": url, "pid": os.getpid()}).decode() if as_json else f"metrics on {url}")
