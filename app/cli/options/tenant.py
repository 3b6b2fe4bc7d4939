"""Which tenant a command is for, where it is for one."""

from collections.abc import Collection

from app.cli.process.exit_codes import give_up
from app.config.settings import Settings


def among(name: str, tenants: Collection[str]) -> str:
    """The tenant named. Exit 2 if it is none."""
    if name not in tenants:
        give_up(f"--tenant: there is no tenant {name}: one of {', '.join(tenants)}")
    return name


def whose(name: str | None, tenants: Collection[str]) -> str:
    """The tenant named; else the one called default, or the only one. Exit 2 if it is none."""
    if name is None:
        name = next(iter(tenants)) if len(tenants) == 1 else "default"
        if name not in tenants:
            give_up(f"--tenant: is required, one of {', '.join(tenants)}")
    return among(name, tenants)


def known(name: str | None, tenants: Collection[str], settings: Settings) -> str:
    """As `whose`, for what a worker reads: without a tenants file here, it may have one that knows others."""
    return whose(name, tenants) if settings.config else name or "default"
