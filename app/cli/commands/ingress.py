"""`heliograph ingress`: the public door."""

import asyncio
import gc
import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from app import telemetry
from app.cli.options.ports import PORT
from app.cli.output import say, say_json
from app.cli.process.exit_codes import give_up
from app.cli.process.reload import on_hangup
from app.cli.process.start import running, settings_or_exit
from app.cli.queries.read_model_database import engine_or_exit
from app.config.api_key_store import ApiKeyStore
from app.config.settings import Settings
from app.config.tenants import Tenant

if TYPE_CHECKING:
    from app.ingress.app import Ingress

log = telemetry.logger(__name__)


@click.command("ingress")
@click.option("--host", default="127.0.0.1", show_default=True, help="0.0.0.0 behind a proxy in a container.")
@click.option("--port", type=PORT, default=None, help="Default: PORT.")
@click.option("--internal-port", type=PORT, default=None, help="Default: HELIOGRAPH_INTERNAL_PORT.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line when ready.")
def command(host: str, port: int | None, internal_port: int | None, as_json: bool) -> None:
    """Serve webhooks and the HTTP API. A request is answered once its record is on the log, or fsynced in the spool.

    SIGHUP reads secrets in files (NAME_FILE), the tenants file and the API keys again; a new tenant's requests need a
    restart.

    \b
    Example:
      heliograph ingress --port 8080 --internal-port 9101
    """
    settings, tenants = settings_or_exit(dict(os.environ), keys=True)
    telemetry.configure(settings.log_level)
    store = _keys_or_exit(settings, tenants)
    ports = (
        settings.port if port is None else port,
        settings.internal_port if internal_port is None else internal_port,
    )
    # Most objects of a request die young; the default thresholds cost 30 ms at the 99th percentile.
    gc.set_threshold(50_000, 20, 50)
    import uvloop

    with running(settings):
        uvloop.run(_serve(settings, tenants, store, host, ports, as_json))


def _keys_or_exit(settings: Settings, tenants: dict[str, Tenant]) -> ApiKeyStore:
    """The API keys; exit 2 with every fault of their file. Without any, webhooks are served all the same."""
    store = ApiKeyStore(settings.api_key_store)
    if faults := _load(store, tenants):
        give_up(*faults)
    if not store.exists:
        say("warning: no API key exists: heliograph keys api create", err=True)
    elif not store.keys.entries:
        none = f"{settings.api_key_store} holds no API key in force: /v1 answers 401 (heliograph keys api create)"
        say(f"warning: {none}", err=True)
    return store


def _load(store: ApiKeyStore, tenants: dict[str, Tenant]) -> list[str]:
    """Read the store, warn of keys that are left out, return its faults."""
    faults = store.load(tenants)
    for warning in () if faults else store.warnings():
        log.warning("api_keys.left_out", why=warning)
    return faults


async def _serve(
    settings: Settings,
    tenants: dict[str, Tenant],
    store: ApiKeyStore,
    host: str,
    ports: tuple[int, int],
    as_json: bool,
) -> None:
    """Until a signal comes. Raises what forbids to start or to go on; the spool keeps what it holds."""
    from app.internal_server import InternalServer

    stop, faults = asyncio.Event(), list[BaseException]()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    def fail(fault: BaseException) -> None:
        faults.append(fault)
        stop.set()

    ingress = _ingress(settings, tenants, store, fail)
    _reload_at_hangup(ingress, tenants, store)
    await ingress.start()
    served: list[InternalServer] = []
    try:
        served.append(InternalServer(ingress.public(), host, ports[0], ingress.connections))
        await served[-1].listening()
        served.append(InternalServer(ingress.internal(), settings.internal_host, ports[1]))
        await served[-1].listening()
        _say_ready(served[0].url, served[1].url, as_json)
        gc.freeze()
        await stop.wait()
    finally:
        for server in served:
            await server.stop()
        await ingress.stop()
    if faults:
        raise faults[0]


def _reload_at_hangup(ingress: "Ingress", tenants: dict[str, Tenant], store: ApiKeyStore) -> None:
    """Keys of a store without a fault, and revocations of any, count even if other settings cannot be read."""
    on_hangup(
        tenants,
        apply=lambda read: ingress.take(read, store.keys),
        more=lambda read: _load(store, read),
        refused=lambda problem: ingress.keep(store.keys, problem),
    )


def _ingress(
    settings: Settings, tenants: dict[str, Tenant], store: ApiKeyStore, fail: Callable[[BaseException], None]
) -> "Ingress":
    from app.ingress.app import Ingress
    from app.ingress.durable.cluster_gate import ClusterGate
    from app.kafka.progress_monitor import WorkerMonitor
    from app.read_model.reader import ANSWER_S, ReadModel

    return Ingress(
        settings,
        tenants,
        ClusterGate(settings, tenants).open,
        fail,
        workers=WorkerMonitor.of(settings, tenants),
        read_model=ReadModel(engine_or_exit(settings, ANSWER_S, read_only=True)),
        keys=store.keys,
    )


def _say_ready(public: str, internal: str, as_json: bool) -> None:
    line = {"ingress": public, "internal": internal, "pid": os.getpid()}
    say_json(line) if as_json else say(f"ingress on {public}, health on {internal}")
