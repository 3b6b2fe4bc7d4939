"""`heliograph errors`: what Twilio's error codes mean, what is done about them, and what you can do."""

import sys

import click
import orjson

from app.cli import PROBLEMS


@click.command("errors")
@click.argument("code", type=int, required=False)
@click.option("--class", "kind", default="", help="Only codes of this class, such as configuration.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def command(code: int | None, kind: str, as_json: bool) -> None:
    """Explain a Twilio error code, or list all that a text can meet.

    \b
    Examples:
      heliograph errors 30007
      heliograph errors --class throttled
      heliograph errors --json | jq -r '[.code, .class] | @tsv'
    """
    from app.provider.advice import every, explained

    if code is None:
        rows = [row for row in every() if kind in ("", row["class"])]
    else:
        found = explained(code)
        rows = [found] if found is not None else []
    if not rows:
        what = f"code {code}" if code is not None else f"class {kind}"
        click.echo(f"error: {what} is on no list here; see https://www.twilio.com/docs/api/errors", err=True)
        sys.exit(PROBLEMS)
    for row in rows:
        if as_json:
            click.echo(orjson.dumps(row).decode())
        elif code is None:
            click.echo(f"{row['code']}  {row['class'] or '-':18}  {row['meaning']}")
        else:
            click.echo("\n".join(f"{name:8} {value or '-'}" for name, value in row.items()))
