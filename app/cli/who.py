"""Who does something that is kept with their name."""

import getpass
import os
import re

import click


def _whoever(_context: click.Context, _option: click.Parameter, given: str | None) -> str:
    name = given or os.environ.get("USER") or getpass.getuser()
    if not re.fullmatch(r"[\w.@-]{1,64}", name, re.ASCII):
        raise click.BadParameter("must be 1 to 64 letters, digits, dots, dashes or @")
    return name


by_option = click.option("--by", callback=_whoever, help="Who does it, kept with it; default: $USER.")
