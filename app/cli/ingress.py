"""`heliograph ingress`: the public door."""

import asyncio
import gc
import os
import signal

import click

from app import telemetry
from app.cli import PORT, running, settings_or_exit
from app.cli.again import on_hangup
from app.cli.database import engine_or_exit
from app.cli.shown import say, say_json
from app.settings import Settings
from app.tenants import Tenant


@click.command("ingress")
@click.option("--host", default="127.0.0.1", show_default=True, help="0.0.0.0 behind a proxy in a container.")
@click.option("--port", type=PORT, default=None, help="Default: PORT.")
@click.option("--internal-port", type=PORT, default=None, help="Default: HELIOGRAPH_INTERNAL_PORT.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line when ready.")
def command(host: str, port: int | None, internal_port: int | None, as_json: bool) -> None:
    """Take Twilio's webhooks and /v1/messages; answer once the record is on the log, or fsynced in the spool.

    SIGHUP reads secrets in files (NAME_FILE) and the tenants file again; a new tenant's requests need a restart.

    \b
    Example:
      heliograph ingress --port 8080 --internal-port 9101
    """
    settings, tenants = settings_or_exit(dict(os.environ), keys=True)
    telemetry.configure(settings.log_level)
    ports = (
        settings.port if port is None else port,
        settings.internal_port if internal_port is None else internal_port,
    )
    # Most objects of a request die young; the default thresholds cost 30 ms at the 99th percentile.
    gc.set_threshold(50_000, 20, 50)
    import uvloop

    with running(settings):
        uvloop.run(_serve(settings, tenants, host, ports, as_json))


async def _serve(
    settings: Settings, tenants: dict[str, Tenant], host: str, ports: tuple[int, int], as_json: bool
) -> None:
    """Until a signal comes. Raises what forbids to start or to go on; the spool keeps what it holds."""
    from app.ingress.api import Ingress
    from app.ingress.gate import Gate
    from app.internal import Served
    from app.read_model.reader import ANSWER_S, ReadModel
    from app.records.monitor import WorkerMonitor

    stop, faults = asyncio.Event(), list[BaseException]()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    def fail(fault: BaseException) -> None:
        faults.append(fault)
        stop.set()

    gate, workers = Gate(settings, tenants), WorkerMonitor.of(settings, tenants)
    read_model = ReadModel(engine_or_exit(settings, ANSWER_S, read_only=True))
    ingress = Ingress(settings, tenants, gate.open, fail, workers=workers, read_model=read_model)
    on_hangup(tenants, ingress.take)
    await ingress.start()
    served: list[Served] = []
    try:
        served.append(Served(ingress.public(), host, ports[0], ingress.connections))
        await served[-1].listening()
        served.append(Served(ingress.internal(), settings.internal_host, ports[1]))
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


def _say_ready(public: str, internal: str, as_json: bool) -> None:
    line = {"ingress": public, "internal": internal, "pid": os.getpid()}
    say_json(line) if as_json else say(f"ingress on {public}, health on {internal}")
