"""`heliograph up`: everything, in the foreground."""

import os
import signal
import sys
import threading
from pathlib import Path

import click
import orjson

from app.cli import OK, PROBLEMS
from app.dev.broker import BrokerFault
from app.dev.parts import PartFault
from app.dev.stand import Plan, Stand

LOOK_S = 0.5


@click.command("up")
@click.option("--workers", default=1, show_default=True)
@click.option("--dir", "directory", default="run", show_default=True, help="Data, logs, keys.")
@click.option("--live", is_flag=True, help="No simulator: TWILIO_* as set. This sends real texts.")
@click.option("--port", default=8080, show_default=True, help="Of the ingress.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line with all addresses when ready.")
def command(workers: int, directory: str, live: bool, port: int, as_json: bool) -> None:
    """Kafka, simulator, ingress, workers and bridge in the foreground; a part that dies is started again.

    \b
    Examples:
      heliograph up
      heliograph up --workers 2 --json
      TWILIO_API_BASE_URL=http://127.0.0.1:9999 heliograph up --live
    """
    plan = Plan(directory=Path(directory).absolute(), workers=workers, live=live, ports={"ingress": port})
    stand, stop = Stand(plan, os.environ), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        addresses = stand.start()
        click.echo(orjson.dumps(addresses).decode() if as_json else _table(addresses))
        while not stop.wait(LOOK_S):
            for name in stand.revive():
                click.echo(f"{name} died and was started again", err=True)
    except (BrokerFault, PartFault) as fault:
        click.echo(f"error: {fault}", err=True)
        sys.exit(PROBLEMS)
    finally:
        stand.stop()
    sys.exit(OK)


def _table(addresses: dict[str, object]) -> str:
    rows = [f"{name:10} {value}" for name, value in addresses.items() if name != "pids" and value]
    return "\n".join([*rows, "ready; Ctrl-C stops everything"])
