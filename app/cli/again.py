"""SIGHUP: secrets and tenants file are read again by a process that runs on; faults leave everything as it was."""

import asyncio
import os
import signal
from collections.abc import Callable

from app import telemetry
from app.cli import looked_at
from app.cli.config import incomplete
from app.tenants import Tenant

log = telemetry.logger(__name__)


def on_hangup(
    known: dict[str, Tenant],
    apply: Callable[[dict[str, Tenant]], None],
    more: Callable[[dict[str, Tenant]], list[str]] = lambda _: [],
) -> None:
    """From now on, inside the running loop: `apply` is given the tenants as they are then. `known`: as they are now;
    `more` reads what else the process has in files, and returns the faults of it."""

    def again() -> None:
        nonlocal known
        _, tenants, faults, _ = looked_at(dict(os.environ))
        if faults := [*faults, *_lost(known, tenants), *more(tenants)]:
            log.error("settings.not_read_again", faults=faults)
            return
        known = tenants
        apply(tenants)
        log.info("settings.read_again", tenants=len(tenants))

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, again)


def _lost(known: dict[str, Tenant], tenants: dict[str, Tenant]) -> list[str]:
    """What a tenant lacks that it had, as when its file of secrets is read while it is written."""
    before = incomplete(known, ())
    return [lack for lack in incomplete({n: t for n, t in tenants.items() if n in known}, ()) if lack not in before]
