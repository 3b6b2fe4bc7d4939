"""The command `heliograph`: one module per command, imported only when the command is called."""

import importlib

import click

COMMANDS = {
    "demo": "app.cli.commands.demo",
    "up": "app.cli.commands.up",
    "kafka": "app.cli.commands.kafka",
    "ingress": "app.cli.commands.ingress",
    "worker": "app.cli.commands.worker",
    "bridge": "app.cli.commands.bridge",
    "read-model": "app.cli.commands.read_model",
    "simulator": "app.cli.commands.simulator",
    "topics": "app.cli.commands.topics",
    "schemas": "app.cli.commands.schemas",
    "config": "app.cli.commands.config",
    "keys": "app.cli.commands.keys",
    "doctor": "app.cli.commands.doctor",
    "send": "app.cli.send.command",
    "cancel": "app.cli.commands.cancel",
    "outcomes": "app.cli.commands.outcomes",
    "explain": "app.cli.commands.explain",
    "doubts": "app.cli.commands.doubts",
    "replay": "app.cli.commands.replay",
    "deadletters": "app.cli.commands.deadletters",
    "inbound": "app.cli.commands.inbound",
    "errors": "app.cli.commands.errors",
    "sign": "app.cli.commands.sign",
    "twilio": "app.cli.twilio.command",
}


class LazyGroup(click.Group):
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


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="heliograph", message="%(version)s")
def main() -> None:
    """Send SMS and MMS through Twilio and track their outcome. Event-sourced on Kafka.

    Exit codes: 0 all well, 1 problems found, 2 wrong usage or settings. A process that runs on ends with 70 when
    starting it again may help, with 78 when an operator must act first.

    \b
    Examples:
      heliograph up
      heliograph send --to +14155550123 --body 'Build 742 deployed.' --wait
    """
