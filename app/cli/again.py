"""SIGHUP: secrets and tenants file are read again by a process that runs on; faults leave everything as it was."""

import asyncio
import os
import signal
from collections.abc import Callable

from app import telemetry
from app.cli import looked_at
from app.tenants import Tenant

log = telemetry.logger(__name__)


def on_hangup(apply: Callable[[dict[str, Tenant]], None]) -> None:
    """From now on, inside the running loop: `apply` is given the tenants as they are then."""

    def again() -> None:
        _, tenants, faults, _ = looked_at(dict(os.environ))
        if faults:
            log.error("settings.not_read_again", faults=faults)
            return
        apply(tenants)
        log.info("settings.read_again", tenants=len(tenants))

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, again)
