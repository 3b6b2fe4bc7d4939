"""`heliograph kafka start|stop|status`: the dev broker alone."""

import os
import subprocess
import sys
from pathlib import Path

import click
import orjson

from app.cli import OK, PROBLEMS
from app.dev.broker import BrokerFault, DevBroker

CONSOLE = {
    "console-producer": "org.apache.kafka.tools.ConsoleProducer",
    "console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
}


def _options(function: click.Command) -> click.Command:
    port = click.option("--port", default=19092, show_default=True)
    place = click.option("--dir", "directory", default="run/kafka", show_default=True, help="Data, log and pid.")
    return port(place(function))


@click.group("kafka")
def command() -> None:
    """Run a real one-node Kafka for development (Java 17 and Maven; no Docker)."""


@command.command("start")
@click.option("--json", "as_json", is_flag=True)
@_options  # type: ignore[arg-type]
def start(port: int, directory: str, as_json: bool) -> None:
    """Start the broker, or find it running."""
    try:
        address = DevBroker(port, Path(directory).absolute()).start()
    except BrokerFault as fault:
        click.echo(f"error: {fault}", err=True)
        sys.exit(PROBLEMS)
    click.echo(orjson.dumps({"kafka": address}).decode() if as_json else f"kafka on {address}")


@command.command("stop")
@click.option("--wipe", is_flag=True, help="Remove its data as well.")
@_options  # type: ignore[arg-type]
def stop(port: int, directory: str, wipe: bool) -> None:
    """Stop the broker."""
    broker = DevBroker(port, Path(directory).absolute())
    click.echo("kafka stopped" if broker.stop() else "kafka was not running")
    if wipe:
        broker.wipe()


@command.command("status")
@click.option("--json", "as_json", is_flag=True)
@_options  # type: ignore[arg-type]
def status(port: int, directory: str, as_json: bool) -> None:
    """Exit 0 if it runs, 1 if not."""
    broker = DevBroker(port, Path(directory).absolute())
    pid = broker.running()
    if as_json:
        click.echo(orjson.dumps({"running": pid is not None, "pid": pid, "kafka": broker.address}).decode())
    else:
        click.echo(f"kafka runs on {broker.address}, pid {pid}" if pid else "kafka does not run")
    sys.exit(OK if pid else PROBLEMS)


def _console(name: str) -> click.Command:
    @click.command(name, context_settings={"ignore_unknown_options": True}, add_help_option=False)
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def run(arguments: tuple[str, ...]) -> None:
        jars = DevBroker(0, Path("run/kafka")).jars()
        sys.exit(subprocess.run(["java", "-cp", f"{jars}/*", CONSOLE[name], *arguments], env=os.environ).returncode)  # noqa: S603, S607

    run.help = f"Kafka's own {name}, from the same jars; arguments are passed on."
    return run


for _name in CONSOLE:
    command.add_command(_console(_name))
