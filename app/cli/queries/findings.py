"""Findings on the command line, and those that need no call: files that others may read."""

import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.config.settings import FIELDS, Settings
from app.config.tenants import Tenant

if TYPE_CHECKING:
    from app.provider.account.findings import Finding


def as_object(finding: "Finding") -> dict[str, Any]:
    """The finding as an object of `--json`."""
    told = {"name": finding.name.value, "tenant": finding.tenant, "where": finding.where}
    return {**told, "problem": finding.problem, "todo": finding.todo}


def place(finding: "Finding") -> str:
    """Where the finding is: tenant and field."""
    return f"tenant {finding.tenant}: {finding.where}" if finding.tenant else finding.where


def lines(finding: "Finding") -> tuple[str, str]:
    """As text: what is wrong, and what to do."""
    return f"!  {finding.name}  {place(finding)}: {finding.problem}", f"       {finding.todo}"


def readable_secrets(env: Mapping[str, str], settings: Settings, tenants: Mapping[str, Tenant]) -> "Iterator[Finding]":
    """Files with secrets that more than their owner may read."""
    from app.provider.account.findings import Finding, Name

    for tenant, where, path in _files(env, settings, tenants):
        mode = stat.S_IMODE(Path(path).stat().st_mode)
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            problem = f"{path} has mode {mode:04o}"
            yield Finding(name=Name.SECRET_READABLE, tenant=tenant, where=where, problem=problem)


def _files(env: Mapping[str, str], settings: Settings, tenants: Mapping[str, Tenant]) -> Iterator[tuple[str, str, str]]:
    """Tenant, field and path."""
    for field in FIELDS:
        if field.secret and (path := env.get(f"{field.env}_FILE")):
            yield "", f"{field.env}_FILE", path
    if settings.config and any(_holds_secrets(tenant) for tenant in tenants.values()):
        yield "", "HELIOGRAPH_CONFIG", settings.config
    for name, tenant in tenants.items():
        for own in ("auth_tokens_file", "shared_keys_file"):
            if path := getattr(tenant, own):
                yield name, own, path


def _holds_secrets(tenant: Tenant) -> bool:
    """Whether its table itself holds any."""
    tokens = tenant.auth_tokens and not tenant.auth_tokens_file
    shared = tenant.shared_keys and not tenant.shared_keys_file
    return bool(tenant.api_key_secret or tokens or shared)
