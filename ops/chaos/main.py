"""`ops/chaos/run`: the product under fire, and a checker at the end. See ops/chaos/README.md."""

import asyncio
import logging
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import orjson

from app.dev.broker import BrokerError
from app.dev.process import ProcessError
from ops.chaos.battle import Plan, Result, Run
from ops.chaos.deadlines import FULL, SHORT
from ops.chaos.diary import Diary
from ops.chaos.plant import PLANTS
from ops.chaos.schedule import KINDS, SETS
from ops.chaos.small_disk import MountError

SHORT_RUN_MINUTES = 6


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--minutes", type=click.FloatRange(min=0.5), help="Make faults for so long.")
@click.option("--faults", type=click.IntRange(min=0), help="Make so many faults.")
@click.option("--seed", default=7, show_default=True)
@click.option(
    "--set", "among", default="main", show_default=True, type=click.Choice(sorted(SETS)), help="Of these kinds."
)
@click.option("--only", multiple=True, type=click.Choice(sorted(KINDS)), metavar="KIND", help="These kinds alone.")
@click.option("--rate", default=12.0, show_default=True, help="Requests a second.")
@click.option("--plant", type=click.Choice(sorted(PLANTS)), help="Plant a fault in the workers; the run must find it.")
@click.option("--short", is_flag=True, help="The deadlines of a short run.")
@click.option("--keep", type=click.Path(path_type=Path), help="Keep data, diary, logs and evidence there.")
@click.option("--json", "as_json", is_flag=True, help="The last line is a summary object.")
def command(
    minutes: float | None,
    faults: int | None,
    seed: int,
    among: str,
    only: tuple[str, ...],
    rate: float,
    plant: str | None,
    short: bool,
    keep: Path | None,
    as_json: bool,
) -> None:
    """Break it on purpose, and check that every promise held. Exit 0 only if all did.

    \b
    Examples:
      ops/chaos/run --minutes 20 --seed 7 --json
      ops/chaos/run --faults 3 --only worker_kill
    """
    if plant:
        only, faults = only or PLANTS[plant].kinds, faults or (PLANTS[plant].faults if minutes is None else None)
    if (minutes is None) == (faults is None):
        raise click.UsageError("give one of --minutes and --faults")
    if strangers := sorted({kind for kind in only if kind not in SETS[among] and kind not in SETS["main"]}):
        raise click.UsageError(f"{strangers[0]} is not in --set {among}")
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # the broker is killed on purpose
    short = short or (minutes is not None and minutes <= SHORT_RUN_MINUTES)
    plan = Plan(
        seconds=None if minutes is None else minutes * 60,
        faults=faults,
        seed=seed,
        among=among,
        only=only,
        rate=rate,
        plant=plant or "",
        deadlines=SHORT if short else FULL,
    )
    sys.exit(_go(plan, keep=keep, as_json=as_json))


def _go(plan: Plan, *, keep: Path | None, as_json: bool) -> int:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)
    directory = _directory(keep)
    result: Result | None = None
    try:
        result = asyncio.run(Run(plan, directory, Diary(directory / "diary.jsonl"), _say(time.monotonic())).go())
    except (BrokerError, ProcessError, MountError) as fault:
        click.echo(f"error: {fault}", err=True)
    if result is None or not result.kept or keep:
        click.echo(f"data, diary, logs and evidence: {directory}", err=True)
    else:
        shutil.rmtree(directory, ignore_errors=True)
    if result is None:
        return 1
    for line in result.problems:
        click.echo(line, err=True)
    click.echo(orjson.dumps(result.summary).decode() if as_json else result.told())
    return 0 if result.kept else 1


def _directory(keep: Path | None) -> Path:
    """An empty one. Raises UsageError."""
    if keep is None:
        return Path(tempfile.mkdtemp(prefix="heliograph-chaos-"))
    if keep.exists() and any(keep.iterdir()):
        raise click.UsageError(f"--keep: {keep} is not empty")
    keep.mkdir(parents=True, exist_ok=True)
    return keep.absolute()


def _say(began: float) -> Callable[[str], None]:
    def say(line: str) -> None:
        passed = int(time.monotonic() - began)
        click.echo(f"[{passed // 60:02d}:{passed % 60:02d}] {line}", err=True)

    return say


if __name__ == "__main__":
    command()
