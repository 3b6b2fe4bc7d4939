"""`heliograph schemas`: the published form of every record, written or compared."""

import sys
from pathlib import Path

import click

from app.cli.options.plural import plural
from app.cli.output import say, say_json
from app.cli.process.exit_codes import OK, PROBLEMS, give_up

SIGNS = {"same": " ", "written": "+", "differs": "~", "missing": "!", "stray": "?"}


@click.command("schemas")
@click.option("--check", is_flag=True, help="Write nothing; exit 1 if a file is not as generated.")
@click.option(
    "--dir", "folder", type=click.Path(path_type=Path), help="Where the files belong; default: beside topics.yaml."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(check: bool, folder: Path | None, as_json: bool) -> None:
    """Write the schemas of all records. One events/<type>.json (JSON Schema 2020-12) per record type,
    and asyncapi.yaml for the topics.

    Nothing is deleted: exit 1 if a file is left over of a type that no topic has.

    \b
    Examples:
      heliograph schemas --check
      heliograph schemas --dir /tmp/schemas --json
    """
    from app.records import schemas
    from app.records.topics import schemas_folder

    place = folder or schemas_folder()
    try:
        found = schemas.states(place) if check else schemas.write(place)
    except OSError as fault:
        give_up(f"--dir: {place}: {fault.strerror}")
    bad = [path for path, state in found.items() if state not in ("same", "written")]
    if as_json:
        say_json({"folder": str(place), "files": found, "problems": len(bad)})
    else:
        _show(found)
    sys.exit(PROBLEMS if bad else OK)


def _show(found: dict[str, str]) -> None:
    changed = {path: state for path, state in found.items() if state != "same"}
    for path, state in changed.items():
        say(f"{SIGNS[state]} {path}: {state}")
    if not changed:
        say(f"{plural(len(found), 'file is', 'files are')} as generated")
