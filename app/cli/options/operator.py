"""Who does something that is kept with their name: as they say, and as the operating system has it."""

import os
import pwd
import re
from collections.abc import Mapping
from typing import Any

import click

_NAME = re.compile(r"[\w.@-]{1,64}", re.ASCII)


def _whoever(_context: click.Context, _option: click.Parameter, given: str | None) -> str:
    if given is None:
        return re.sub(r"[^\w.@-]", "_", os.environ.get("USER") or _os_user(), flags=re.ASCII)[:64]
    name = given
    if not _NAME.fullmatch(name):
        raise click.BadParameter("must be 1 to 64 letters, digits, dots, dashes or @")
    return name


by_option = click.option("--by", callback=_whoever, help="Who does it, kept with it; default: $USER.")


def recorded(by: str) -> dict[str, str]:
    """Fields of a record of what somebody did: the name given, and whose process it is, which nobody can choose.

    SUDO_USER is kept as far as it is a name: whoever may set the environment of a process may set it, too.
    """
    sudo = os.environ.get("SUDO_USER", "")
    return {"by": by, "os_user": _os_user(), "sudo_user": sudo if _NAME.fullmatch(sudo) else ""}


def operator_view(record: Mapping[str, Any]) -> dict[str, str]:
    """Who opened content and when, from the fields of a `*_opened` record; "" for a field that an old record lacks."""
    return {name: record.get(name, "") for name in ("by", "os_user", "sudo_user", "at")}


def _os_user() -> str:
    """By the real user id, not by the environment; its number, if it has no name."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
