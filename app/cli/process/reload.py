"""SIGHUP: secrets and tenants file are read again by a process that runs on; faults leave tenants as they were."""

import asyncio
import os
import signal
from collections.abc import Callable

from app import clock, telemetry
from app.cli.process.start import looked_at
from app.config.tenant_checks import missing_field_faults
from app.config.tenants import Tenant

log = telemetry.logger(__name__)


def on_hangup(
    known: dict[str, Tenant],
    apply: Callable[[dict[str, Tenant]], None],
    more: Callable[[dict[str, Tenant]], list[str]] = lambda _: [],
    refused: Callable[[str], None] = lambda _: None,
) -> None:
    """From now on, inside the running loop: `apply` is given the tenants as they are then. `known`: as they are now;
    `more` reads what else the process has in files, for the tenants that are in force then, and returns the faults of
    it; `refused` is told in one line what was wrong, and since when (UTC), in place of `apply`."""
    since = ""

    def again() -> None:
        nonlocal known, since
        _, tenants, faults, _ = looked_at(dict(os.environ))
        faults = [*faults, *_lost(known, tenants)]
        if faults := [*faults, *more(known if faults else tenants)]:
            log.error("settings.not_read_again", faults=faults)
            since = since or clock.iso(clock.now_ms())
            refused(f"settings not read again since {since}: {_first(faults)}")
            return
        known, since = tenants, ""
        apply(tenants)
        log.info("settings.read_again", tenants=len(tenants))

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, again)


def _first(faults: list[str]) -> str:
    """The first of them, which may have several lines, as one; the log has all."""
    return " ".join(faults[0].split()) + (f" (and {len(faults) - 1} more)" if faults[1:] else "")


def _lost(known: dict[str, Tenant], tenants: dict[str, Tenant]) -> list[str]:
    """What a tenant lacks that it had, as when its file of secrets is read while it is written."""
    before = missing_field_faults(known, ())
    return [
        lack
        for lack in missing_field_faults({n: t for n, t in tenants.items() if n in known}, ())
        if lack not in before
    ]
