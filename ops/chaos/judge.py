"""`ops/chaos/judge`: evidence that a run kept, judged again. See ops/chaos/README.md."""

import sys
from pathlib import Path

import click
import orjson

from ops.chaos import checker, evidence_file, sight


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("kept", type=click.Path(exists=True, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="The last line is an object of counts.")
def command(kept: Path, as_json: bool) -> None:
    """Judge kept evidence: a file, or a directory of `ops/chaos/run --keep`. Exit 0 only if nothing is wrong."""
    seen = evidence_file.load(kept)
    problems, unseen = checker.judge(seen), sight.unseen(seen)
    for name, lines in problems.items():
        for line in lines:
            click.echo(f"{name}: {line}", err=True)
    for line in unseen:
        click.echo(line, err=True)
    counts = checker.counts(problems)
    told = "\n".join(f"{name:22} {count}" for name, count in counts.items())
    click.echo(orjson.dumps(counts).decode() if as_json else told)
    sys.exit(1 if unseen or any(counts.values()) else 0)


if __name__ == "__main__":
    command()
