"""`heliograph kafka start|stop|status`: the dev broker alone."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import click

from app.cli.output import say, say_json
from app.cli.process.exit_codes import OK, PROBLEMS, give_up
from app.dev.broker import BrokerError, DevBroker, java_here
from app.dev.compose_broker import BrokerControl, ComposeBroker, dev_broker, engine_answers

SERVERS = "127.0.0.1:19092"
CONSOLE = {
    "console-producer": ("org.apache.kafka.tools.ConsoleProducer", "--topic notify.requests"),
    "console-consumer": (
        "org.apache.kafka.tools.consumer.ConsoleConsumer",
        "--topic notify.deadletters --from-beginning",
    ),
}


def _options(function: click.Command) -> click.Command:
    port = click.option("--port", type=click.IntRange(1, 65535), default=19092, show_default=True)
    place = click.option(
        "--data-dir", "--dir", "directory", default="run/kafka", show_default=True, help="Data, log and pid."
    )
    return port(place(function))


@click.group("kafka")
def command() -> None:
    """Run a Kafka broker for development. One node: in a container if a Docker engine answers, else by Java."""


@command.command("start")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line when ready.")
@click.option("--ephemeral", is_flag=True, help="Stay in the foreground; throwaway data, gone when it ends.")
@_options  # type: ignore[arg-type]
def start(port: int, directory: str, as_json: bool, ephemeral: bool) -> None:
    """Start the broker, or find it running.

    \b
    Examples:
      heliograph kafka start
      heliograph kafka start --port 19093 --ephemeral
    """
    if ephemeral:
        with tempfile.TemporaryDirectory(prefix="heliograph-kafka-") as throwaway:
            _until_told(dev_broker(port, Path(throwaway)), as_json)
    else:
        _started(dev_broker(port, Path(directory).absolute()), as_json)


def _started(broker: BrokerControl, as_json: bool) -> None:
    try:
        address = broker.start()
    except BrokerError as fault:
        say(f"error: {fault}", err=True)
        sys.exit(PROBLEMS)
    say_json({"kafka": address}) if as_json else say(f"kafka on {address}")


def _until_told(broker: BrokerControl, as_json: bool) -> None:
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    try:
        _started(broker, as_json)
        told.wait()
    finally:
        broker.stop()
        broker.wipe()


@command.command("stop")
@click.option("--wipe", is_flag=True, help="Remove its data as well.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@_options  # type: ignore[arg-type]
def stop(port: int, directory: str, wipe: bool, as_json: bool) -> None:
    """Stop the broker.

    \b
    Example:
      heliograph kafka stop --wipe
    """
    broker = dev_broker(port, Path(directory).absolute())
    ran = broker.stop()
    if wipe:
        broker.wipe()
    text = "kafka stopped" if ran else "kafka was not running"
    say_json({"stopped": ran, "wiped": wipe}) if as_json else say(text)


@command.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@_options  # type: ignore[arg-type]
def status(port: int, directory: str, as_json: bool) -> None:
    """Exit 0 if it runs, 1 if not.

    \b
    Example:
      heliograph kafka status --json
    """
    broker = DevBroker(port, Path(directory).absolute())
    pid = broker.running()
    address = f"127.0.0.1:{broker.found_port()}" if pid else broker.address
    contained = pid is None and engine_answers() and ComposeBroker(port).running()
    if as_json:
        say_json({"running": bool(pid or contained), "pid": pid, "kafka": address})
    elif contained:
        say(f"kafka runs on {address}, in a container")
    else:
        say(f"kafka runs on {address}, pid {pid}" if pid else "kafka does not run")
    sys.exit(OK if pid or contained else PROBLEMS)


def _console(name: str) -> click.Command:
    @click.command(name, context_settings={"ignore_unknown_options": True}, add_help_option=False)
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def run(arguments: tuple[str, ...]) -> None:
        try:
            java, jars = java_here(), DevBroker(0, Path("run/kafka")).jars()
        except BrokerError as fault:
            give_up(str(fault), code=PROBLEMS)
        command = [java, "-cp", f"{jars}/*", tool, *_with_servers(arguments)]
        sys.exit(subprocess.run(command, env=os.environ).returncode)  # noqa: S603 - our own words

    tool, words = CONSOLE[name]
    about = f"Run Kafka's own {name}. Its arguments are passed on."
    servers = f"--bootstrap-server, if it is not among them, is KAFKA_BOOTSTRAP_SERVERS or {SERVERS}."
    run.help = f"{about}\n\n{servers}\n\n\b\nExample:\n  heliograph kafka {name} {words}"
    return run


def _with_servers(arguments: tuple[str, ...]) -> list[str]:
    if any(argument.startswith("--bootstrap-server") for argument in arguments):
        return list(arguments)
    return ["--bootstrap-server", os.environ.get("KAFKA_BOOTSTRAP_SERVERS") or SERVERS, *arguments]


for _name in CONSOLE:
    command.add_command(_console(_name))
