"""`heliograph up`: everything, in the foreground."""

import os
import signal
import sys
import time
from pathlib import Path

import click

from app.cli.options.ports import PORT
from app.cli.output import say, say_json, say_lines
from app.cli.process.exit_codes import OK, PROBLEMS, give_up
from app.cli.process.start import looked_at
from app.config.settings import SettingsError
from app.config.tenant_checks import missing_field_faults, shared
from app.dev.broker import BrokerError
from app.dev.dev_cluster import ClusterPlan, DevCluster, is_free
from app.dev.process import ProcessError
from app.dev.process_env import keep

LOOK_S = 0.2
KEPT = "up.env"
KAFKA_PORT, INGRESS_PORT = 19092, 8080
# Where ops/prometheus/prometheus.yml looks. INTERNAL: health and metrics of the ingress; WORKER: of the first worker.
INTERNAL_PORT, WORKER_PORT, BRIDGE_PORT, READ_MODEL_PORT = 9101, 9102, 9103, 9099


@click.command("up")
@click.option("--workers", type=click.IntRange(1, 32), default=1, show_default=True)
@click.option("--dir", "directory", default="run", show_default=True, help="Data, logs, keys.")
@click.option("--live", is_flag=True, help="No simulator: TWILIO_* as set. This sends real texts.")
@click.option(
    "--port", type=PORT, help="Of the ingress; 0: any free one. Default: PORT with --live, else 8080, if free."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line with all addresses when ready.")
def command(workers: int, directory: str, live: bool, port: int | None, as_json: bool) -> None:
    """Run the whole system in the foreground. Starts Kafka, simulator, ingress, workers, bridge and read model;
    a process that exits is restarted.

    Without --live any TWILIO_* and HELIOGRAPH_CONFIG of the environment is ignored: all goes to the simulator, and
    up.env beside the logs holds the settings of the parts, for `doctor`, `explain` and the other commands.

    \b
    Examples:
      heliograph up
      heliograph up --workers 2 --json
      TWILIO_API_BASE_URL=http://127.0.0.1:9999 heliograph up --live
    """
    if live:
        _complete_or_exit()
    place = Path(directory).absolute()
    ports = _ports(port, workers, live=live)
    plan = ClusterPlan(directory=place, workers=workers, live=live, read_model=True, ports=ports)
    stand = DevCluster(plan, os.environ)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _told)
    try:
        addresses = stand.start()
        if not live:
            keep(place / KEPT, stand.env, stand.api_key)
        say_json(addresses) if as_json else say_lines(_table(addresses, place, stand.api_key, live=live))
        _watch(stand)
    except (BrokerError, ProcessError) as fault:
        say(f"error: {fault}", err=True)
        sys.exit(PROBLEMS)
    except SettingsError as bad:
        give_up(*bad.faults)
    finally:
        stand.stop()


def _told(*_: object) -> None:
    """The first signal ends it; further ones must not cut the stopping short."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    sys.exit(OK)


def _watch(stand: DevCluster) -> None:
    noted: set[int] = set()
    while True:
        _revive_broker(stand)
        for part in stand.dead():
            if part.pid not in noted:
                noted.add(part.pid)
                say(f"{part.name} ended with exit code {part.dead()}: {part.last_line()}", err=True)
        for name in stand.revive():
            say(f"{name} was started again", err=True)
        time.sleep(LOOK_S)


def _revive_broker(stand: DevCluster) -> None:
    """It is tried again after its own time to start."""
    try:
        if stand.revive_broker():
            say("kafka ended and was started again", err=True)
    except BrokerError as fault:
        say(f"kafka ended and does not start: {fault}", err=True)


def _complete_or_exit() -> None:
    """With --live everything that Twilio needs must be there before anything starts."""
    _, tenants, faults, _ = looked_at(dict(os.environ))
    if faults := [*faults, *missing_field_faults(tenants, faults)]:
        give_up(*faults)
    for warning in shared(tenants):
        say(f"warning: {warning}", err=True)


def _ports(port: int | None, workers: int, *, live: bool) -> dict[str, int]:
    """A port that was asked for is used or it is an error; a default gives way when it is taken."""
    defaults = {
        "kafka": KAFKA_PORT,
        "internal": INTERNAL_PORT,
        "worker-1": WORKER_PORT,
        "bridge": BRIDGE_PORT,
        "read-model": READ_MODEL_PORT,
    }
    defaults |= {f"worker-{number}": WORKER_PORT + number for number in range(2, workers + 1)}
    ports = {name: number for name, number in defaults.items() if is_free(number)}
    told = int(os.environ.get("PORT") or INGRESS_PORT) if port is None and live else port
    if told is not None or is_free(INGRESS_PORT):
        ports["ingress"] = INGRESS_PORT if told is None else told
    return ports


def _table(addresses: dict[str, object], directory: Path, api_key: str, *, live: bool) -> str:
    rows = [f"{name:10} {value}" for name, value in addresses.items() if name != "pids" and value]
    rows.append(f"{'logs':10} {directory / 'logs'}")
    rows += (
        [f"{'API key':10} {api_key} (tenant default, every scope; kept in {directory / 'api-key'})"] if api_key else []
    )
    if not live:
        rows.append(f"{'settings':10} {directory / KEPT} (for other commands: set -a; . {directory / KEPT}; set +a)")
    return "\n".join([*rows, "ready; Ctrl-C stops everything"])
