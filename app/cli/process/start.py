"""The start of a command: its settings and tenants, and the errors of a Kafka that cannot be used."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from app.cli.process.exit_codes import CONFIG, FAULT, PROBLEMS, give_up
from app.config.settings import Settings
from app.config.tenants import Tenant, load_tenants


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
    settings, faults = Settings.read_with_faults(env)
    named = {fault.partition(":")[0].removesuffix("_FILE") for fault in faults}
    missing = [fault for fault in settings.keys_missing() if fault.partition(":")[0] not in named]
    tenants, more = load_tenants(settings, faults)
    return settings, tenants, [*faults, *more], missing


@contextmanager
def running(settings: Settings) -> Iterator[None]:
    """Around a process that runs on: a start that failed ends with 70 if it may go better next time, else with 78."""
    from app.internal_server import ListenError

    try:
        with reaching_kafka(settings, away=FAULT, unfit=CONFIG):
            yield
    except ListenError as fault:
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

    from app.kafka.cluster_check import ClusterMismatchError

    try:
        yield
    except (KafkaConnectionError, KafkaTimeoutError):
        give_up(f"no Kafka at {settings.kafka} (KAFKA_BOOTSTRAP_SERVERS)", code=away)
    except ClusterMismatchError as fault:
        give_up(*str(fault).splitlines(), code=unfit)
    except (TopicAuthorizationFailedError, GroupAuthorizationFailedError, ClusterAuthorizationFailedError) as fault:
        who = f"user {settings.sasl_username}" if settings.sasl_username else "this client"
        todo = "heliograph topics rights prints what each process and command needs"
        give_up(f"Kafka refuses {who} ({type(fault).__name__}): {todo}", code=unfit)
    except KafkaError as fault:
        if not fault.retriable:
            raise
        give_up(f"Kafka at {settings.kafka} does not answer now ({type(fault).__name__}): try again", code=away)
