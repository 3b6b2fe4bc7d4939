"""Command lines as documents, units and containers hold them, read by click as `heliograph` itself reads them."""

import re
import shlex
from collections.abc import Iterator

import click

from app.cli.main import main

_LINE = re.compile(r"(?:^|[\s;|&(/])heliograph (?P<words>[^|;&#>\n]+)")
_FENCE = re.compile(r"```(?:sh|console|bash)?\n(.*?)```|^ {4,}(\S.*)$", re.DOTALL | re.MULTILINE)


def fault(words: list[str]) -> str:
    """Why click refuses `heliograph WORDS`, or ""; a file that is not there is no fault of the words."""
    try:
        with main.make_context("heliograph", list(words)) as context:
            _descend(main, context)
    except click.exceptions.Exit:
        return ""
    except click.UsageError as error:
        return "" if "does not exist" in error.format_message() else error.format_message()
    return ""


def _descend(group: click.Group, context: click.Context) -> None:
    words = [*context._protected_args, *context.args]
    name, command, rest = group.resolve_command(context, words)
    assert command is not None and name is not None
    with command.make_context(name, rest, parent=context) as below:
        if isinstance(command, click.Group):
            _descend(command, below)


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command and group below `heliograph`, by its words."""
    yield from _below("", main)


def leaves() -> Iterator[tuple[str, click.Command]]:
    """Every command that is not a group, by its words."""
    return ((words, command) for words, command in commands() if not isinstance(command, click.Group))


def _below(words: str, group: click.Group) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        path = f"{words} {name}".strip()
        yield path, command
        if isinstance(command, click.Group):
            yield from _below(path, command)


def told(text: str) -> list[list[str]]:
    """Words after `heliograph` in a text of shell lines."""
    return [shlex.split(match["words"].replace("\\", "")) for match in _LINE.finditer(text)]


def code(markdown: str) -> str:
    """The code of a page: fenced or indented."""
    return "\n".join(fenced or indented for fenced, indented in _FENCE.findall(markdown))
