"""What every command prints: one line at a time, so that no text of a stranger acts on the terminal or forges a line.

Texts of people, idempotency keys, campaigns, headers and what other systems answer may hold terminal escapes, line ends
and characters that reverse what follows (CWE-150, CWE-117; "Trojan Source", CVE-2021-42574).
"""

import re
from typing import Any
from unicodedata import category

import click
import orjson

# Other: control, format, surrogate, private, not assigned; and the separators of lines and paragraphs.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Joiners are in emoji, and in the spelling of some languages.
_JOINERS = "\u200c\u200d"
_RAW = "heliograph.raw"


def _keep(context: click.Context, _option: click.Parameter, given: bool) -> None:
    context.meta[_RAW] = given


raw = click.option(
    "--raw",
    is_flag=True,
    expose_value=False,
    callback=_keep,
    help="Print texts as they are: what they hold acts on your terminal.",
)


def escaped(text: str) -> str:
    """`text` on one line, each character that is not seen as itself in Python's notation: \\x1b, \\n, \\u202e."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(character if _is_seen(character) else _escape(character) for character in text)


def say(line: object, *, err: bool = False) -> None:
    """Print one line, escaped unless the command was called with --raw. `err`: to standard error."""
    context = click.get_current_context(silent=True)
    as_it_is = context is not None and context.meta.get(_RAW, False)
    if as_it_is:
        # `color`: click would take escapes out for what is no terminal. What no encoding holds cannot be printed.
        click.echo(re.sub("[\ud800-\udfff]", "\ufffd", str(line)), err=err, color=True)
    else:
        click.echo(escaped(str(line)), err=err)


def say_lines(text: str, *, err: bool = False) -> None:
    """Print several lines of our own."""
    for line in text.split("\n"):
        say(line, err=err)


def say_json(value: Any) -> None:
    """Print a value as one line of JSON, in which what is not seen is escaped: the same value to whoever reads it."""
    click.echo(json_line(value))


def json_line(value: Any) -> str:
    """One line of JSON, with what acts on a terminal escaped."""
    text = orjson.dumps(value).decode()
    if text.isascii() and text.isprintable():
        return text
    return "".join(character if _is_seen(character) else _json_escape(character) for character in text)


def _is_seen(character: str) -> bool:
    return character.isprintable() or character in _JOINERS or category(character) not in _HIDDEN


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[n]:02x}{units[n + 1]:02x}" for n in range(0, len(units), 2))
