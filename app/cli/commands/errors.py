"""`heliograph errors`: what Twilio's error codes mean, what is done about them, and what you can do."""

import sys
from typing import Any

import click

from app.cli.output import say, say_json, say_lines
from app.cli.process.exit_codes import PROBLEMS, give_up


@click.command("errors")
@click.argument("code", type=int, required=False)
@click.option("--class", "kind", default="", help="Only codes of this class, such as configuration.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def command(code: int | None, kind: str, as_json: bool) -> None:
    """Explain Twilio error codes. Without a code, list all that a text message can get.

    Of a code on no list here it tells what becomes of a message that meets it, and exits 1.

    \b
    Examples:
      heliograph errors 30007
      heliograph errors --class throttled
      heliograph errors --json | jq -r '[.code, .class] | @tsv'
    """
    if code is None:
        _list(kind, as_json)
    else:
        _explain(code, as_json)


def _list(kind: str, as_json: bool) -> None:
    from app.provider.error_advice import classes, every

    if kind and kind not in (known := classes()):
        give_up(f"--class: {kind} is none of {', '.join(known)}")
    for row in every():
        if kind in ("", row["class"]):
            line = f"{row['code']}  {row['class'] or '-':18}  {row['meaning']}"
            say_json(row) if as_json else say(line)


def _explain(code: int, as_json: bool) -> None:
    from app.provider.error_advice import explained, unlisted

    found = explained(code)
    _show(found or unlisted(code), as_json)
    if found is None:
        say(f"error: code {code} is on no list here", err=True)
        sys.exit(PROBLEMS)


def _show(row: dict[str, Any], as_json: bool) -> None:
    lines = (f"{name:8} {value or '-'}" for name, value in row.items())
    say_json(row) if as_json else say_lines("\n".join(lines))
