"""The command `heliograph`: one file per group of commands, each imported only when it is called."""

import importlib
import sys
from typing import NoReturn

import click

from app.settings import BadSettings, Settings
from app.tenants import Tenant, read_tenants

OK, PROBLEMS, USAGE = 0, 1, 2

COMMANDS = {
    "demo": "app.cli.demo",
    "up": "app.cli.up",
    "kafka": "app.cli.kafka",
    "ingress": "app.cli.ingress",
    "worker": "app.cli.worker",
    "bridge": "app.cli.bridge",
    "simulator": "app.cli.simulator",
    "topics": "app.cli.topics",
    "config": "app.cli.config",
    "doctor": "app.cli.doctor",
    "send": "app.cli.send",
    "cancel": "app.cli.cancel",
    "outcomes": "app.cli.outcomes",
    "explain": "app.cli.explain",
}


class Lazy(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The attribute `command` of the module."""
        if name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[name]).command
        return command


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="heliograph", message="%(version)s")
def main() -> None:
    """Tell this person, and learn what became of it: SMS and MMS through Twilio, event-sourced on Kafka.

    Exit codes: 0 all well, 1 problems found, 2 wrong usage or settings.
    """


def settings_or_exit(env: dict[str, str], *, keys: bool = False) -> tuple[Settings, dict[str, Tenant]]:
    """Settings and tenants; every fault on stderr and exit 2 otherwise. `keys`: the process needs both keys."""
    try:
        settings = Settings.read(env)
        missing = settings.keys_missing() if keys else ()
        if missing:
            raise BadSettings(missing)
        return settings, read_tenants(settings)
    except BadSettings as bad:
        give_up(*bad.faults)


def give_up(*faults: str) -> NoReturn:
    """Say what is wrong with the settings, and exit 2."""
    for fault in faults:
        click.echo(f"error: {fault}", err=True)
    sys.exit(USAGE)
