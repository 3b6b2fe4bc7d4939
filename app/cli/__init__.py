"""The command `heliograph`: one file per group of commands, each imported only when it is called."""

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

import click

from app.cli.shown import say
from app.settings import Settings
from app.tenants import Tenant, look_at_tenants

OK, PROBLEMS, USAGE = 0, 1, 2
FAULT, CONFIG = 70, 78  # of processes that run on: see app.streams.engine.exits
PORT = click.IntRange(0, 65535)  # to listen on; 0: any free one

COMMANDS = {
    "demo": "app.cli.demo",
    "up": "app.cli.up",
    "kafka": "app.cli.kafka",
    "ingress": "app.cli.ingress",
    "worker": "app.cli.worker",
    "bridge": "app.cli.bridge",
    "read-model": "app.cli.readmodel",
    "simulator": "app.cli.simulator",
    "topics": "app.cli.topics",
    "schemas": "app.cli.schemas",
    "config": "app.cli.config",
    "keys": "app.cli.keys",
    "doctor": "app.cli.doctor",
    "send": "app.cli.send",
    "cancel": "app.cli.cancel",
    "outcomes": "app.cli.outcomes",
    "explain": "app.cli.explain",
    "doubts": "app.cli.doubts",
    "replay": "app.cli.replay",
    "deadletters": "app.cli.deadletters",
    "inbound": "app.cli.inbound",
    "errors": "app.cli.errors",
    "sign": "app.cli.sign",
    "twilio": "app.cli.twilio",
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

    Exit codes: 0 all well, 1 problems found, 2 wrong usage or settings. A process that runs on ends with 70 when
    starting it again may help, with 78 when an operator must act first.

    \b
    Examples:
      heliograph up
      heliograph send --to +14155550123 --body 'Build 742 deployed.' --wait
    """


def settings_or_exit(
    env: dict[str, str], *, keys: bool = False, more: Callable[[dict[str, Tenant]], list[str]] = lambda _: []
) -> tuple[Settings, dict[str, Tenant]]:
    """Settings and tenants; every fault on stderr and exit 2 otherwise. `keys`: the process needs both keys; `more`:
    what else is wrong for this process."""
    settings, tenants, faults, missing = looked_at(env)
    faults += [*(missing if keys else []), *more(tenants)]
    if faults:
        give_up(*faults)
    return settings, tenants


def looked_at(env: dict[str, str]) -> tuple[Settings, dict[str, Tenant], list[str], list[str]]:
    """Settings and tenants as far as they can be read, every fault, and which keys are missing."""
    settings, faults = Settings.looked_at(env)
    named = {fault.partition(":")[0].removesuffix("_FILE") for fault in faults}
    missing = [fault for fault in settings.keys_missing() if fault.partition(":")[0] not in named]
    tenants, more = look_at_tenants(settings, faults)
    return settings, tenants, [*faults, *more], missing


@contextmanager
def running(settings: Settings) -> Iterator[None]:
    """Around a process that runs on: a start that failed ends with 70 if it may go better next time, else with 78."""
    from app.internal import CannotListen

    try:
        with reaching_kafka(settings, away=FAULT, unfit=CONFIG):
            yield
    except CannotListen as fault:
        give_up(str(fault), code=FAULT)


@contextmanager
def reaching_kafka(settings: Settings, *, away: int = PROBLEMS, unfit: int = PROBLEMS) -> Iterator[None]:
    """Around all that talks to Kafka: says which is not there (exit `away`), or why it is not ours (exit `unfit`).

    A broker of several that is away or not ready is as one that is not there: the client asks any of them, and another
    try may reach one that answers.
    """
    from aiokafka.errors import (
        ClusterAuthorizationFailedError,
        GroupAuthorizationFailedError,
        KafkaConnectionError,
        KafkaError,
        KafkaTimeoutError,
        TopicAuthorizationFailedError,
    )

    from app.records.fit import Unfit

    try:
        yield
    except (KafkaConnectionError, KafkaTimeoutError):
        give_up(f"no Kafka at {settings.kafka} (KAFKA_BOOTSTRAP_SERVERS)", code=away)
    except Unfit as fault:
        give_up(*str(fault).splitlines(), code=unfit)
    except (TopicAuthorizationFailedError, GroupAuthorizationFailedError, ClusterAuthorizationFailedError) as fault:
        who = f"user {settings.sasl_username}" if settings.sasl_username else "this client"
        todo = "heliograph topics rights prints what each process and command needs"
        give_up(f"Kafka refuses {who} ({type(fault).__name__}): {todo}", code=unfit)
    except KafkaError as fault:
        if not fault.retriable:
            raise
        give_up(f"Kafka at {settings.kafka} does not answer now ({type(fault).__name__}): try again", code=away)


def give_up(*faults: str, code: int = USAGE) -> NoReturn:
    """Say what is wrong, and exit."""
    for fault in faults:
        say(f"error: {fault}", err=True)
    sys.exit(code)
