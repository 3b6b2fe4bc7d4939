"""`heliograph demo`: the main job, with a judge."""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress as Bars
from rich.table import Table

from app import clock
from app.cli.output import say, say_json
from app.cli.process.exit_codes import OK, PROBLEMS
from app.dev.broker import BrokerError
from app.dev.demo import FAULTS, Demo, DemoError, DemoProgress
from app.dev.demo_checks import PROMISES, kept
from app.dev.dev_cluster import DevCluster
from app.dev.process import ProcessError
from app.dev.process_env import bare


@click.command("demo")
@click.option("--messages", type=click.IntRange(min=1), default=2000, show_default=True)
@click.option("--seed", default=7, show_default=True)
@click.option("--faults", type=click.Choice(sorted(FAULTS)), default="none", show_default=True)
@click.option("--workers", type=click.IntRange(1, 8), default=1, show_default=True)
@click.option("--keep", is_flag=True, help="Keep data and logs, and say where.")
@click.option("--json", "as_json", is_flag=True, help="The last line is a summary object.")
def command(messages: int, seed: int, faults: str, workers: int, keep: bool, as_json: bool) -> None:
    """Run an end-to-end demo. Start everything, send N messages, print outcomes; exit 0 only if every promise held.

    \b
    Examples:
      ./ops/demo --messages 2000 --seed 7
      ./ops/demo --messages 500 --faults callbacks --workers 2 --json
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _told)
    directory = Path(tempfile.mkdtemp(prefix="heliograph-demo-"))
    demo = Demo(messages, seed, faults, directory, workers)
    stand = DevCluster(demo.plan(f"demo-{clock.new_id()[:6]}."), bare(os.environ))
    result, fault = None, ""
    try:
        result = _run(demo, stand, quiet=as_json or not sys.stderr.isatty())
    except (BrokerError, ProcessError, DemoError) as error:
        fault = str(error)
    finally:
        stand.stop()
        if keep or fault:
            say(f"logs and data: {directory}", err=True)
        else:
            stand.wipe()
            shutil.rmtree(directory, ignore_errors=True)
    if result is None:
        say(f"error: {fault}", err=True)
        sys.exit(PROBLEMS)
    say_json(result) if as_json else _show(result)
    sys.exit(OK if kept(result) else PROBLEMS)


def _run(demo: Demo, stand: DevCluster, *, quiet: bool) -> dict[str, Any]:
    console = Console(stderr=True)
    if not quiet:
        console.print("starting broker, simulator, ingress and worker ...")
    stand.start()
    bars: AbstractContextManager[Any] = nullcontext() if quiet else Bars(console=console, transient=True)
    with bars as shown:
        rows = {} if shown is None else {n: shown.add_task(n, total=demo.progress.total) for n in SHOWN}

        def show(progress: DemoProgress) -> None:
            for name, row in rows.items():
                shown.update(row, completed=getattr(progress, name))

        return asyncio.run(demo.run(stand, show))


def _told(number: int, _frame: object) -> None:
    """The first signal ends it; further ones must not cut the cleaning up short."""
    for either in (signal.SIGTERM, signal.SIGINT):
        signal.signal(either, signal.SIG_IGN)
    sys.exit(128 + number)


SHOWN = ("requested", "created", "outcomes")


def _show(result: dict[str, Any]) -> None:
    console = Console()
    outcomes = Table("outcome", "messages", title="Outcomes")
    for word, count in sorted(result["outcomes"].items(), key=lambda row: -row[1]):
        outcomes.add_row(word, str(count))
    console.print(outcomes)
    latencies = Table("latency, ms", "p50", "p95", "p99")
    for name, row in result["latency_ms"].items():
        latencies.add_row(name.replace("_", " "), *(f"{row[p]:.1f}" for p in ("p50", "p95", "p99")))
    console.print(latencies)
    verdict = Table("promise", "count", "", title="Promises")
    for name in PROMISES:
        verdict.add_row(name.replace("_", " "), str(result[name]), "kept" if not result[name] else "BROKEN")
    console.print(verdict)
    console.print(f"{result['messages']} messages, {result['creates']} creates, {result['messages_per_second']}/s")
