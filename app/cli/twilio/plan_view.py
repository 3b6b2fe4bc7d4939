"""How a plan is shown."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from app.cli.output import say, say_json, say_lines
from app.cli.twilio.client import hidden
from app.config.tenants import Tenant

if TYPE_CHECKING:
    from app.provider.account.plan import AccountChange, Edit

SIGNS = {"create": "+", "alter": "~", "attach": "+", "detach": "-", "keep": " ", "refuse": "!"}


@dataclass
class PlanView:
    """A tenant's plan. `found`: SIDs of its services that are there, by name; `made`: those of services just made."""

    tenant: Tenant
    changes: "tuple[AccountChange, ...]"
    found: dict[str, str]
    made: dict[str, str] = field(default_factory=dict)
    done: int = 0

    @property
    def refused(self) -> int:
        """Changes that cannot be made."""
        return sum(change.action == "refuse" for change in self.changes)

    @property
    def detached(self) -> int:
        """Numbers that are taken out of a service."""
        return sum(change.action == "detach" for change in self.changes)

    @property
    def sids(self) -> dict[str, str]:
        """Of declared services whose SID is not in the file: by name."""
        known = self.found | self.made
        lacking = [name for name, service in self.tenant.services.items() if not service.sid]
        return {name: known[name] for name in lacking if name in known}


def tell(told: Sequence[PlanView], *, reveal: bool, as_json: bool) -> None:
    """Print the plans of all tenants."""
    if as_json:
        changes = [_object(one.tenant.name, change, reveal) for one in told for change in one.changes]
        sids = {f"tenants.{one.tenant.name}.services.{name}.sid": sid for one in told for name, sid in one.sids.items()}
        made, refused = sum(one.done for one in told), sum(one.refused for one in told)
        say_json({"changes": changes, "refused": refused, "made": made, "sids": sids})
        return
    for one in told:
        for change in one.changes:
            for line in _lines(one.tenant.name, change, reveal):
                say(line)
    if not any(one.changes for one in told):
        say("everything at Twilio is as declared")


def sids_to_keep(told: Sequence[PlanView], *, err: bool = False) -> None:
    """What the operator puts into the tenants file. `err`: to standard error, where it disturbs no JSON."""
    if any(one.sids for one in told):
        say_lines("\nput into the tenants file:", err=err)
    for one in told:
        for name, sid in one.sids.items():
            say_lines(f'[tenants.{one.tenant.name}.services.{name}]\nsid = "{sid}"', err=err)


def _object(tenant: str, change: "AccountChange", reveal: bool) -> dict[str, Any]:
    edits = [{"field": edit.field, "held": _value(edit.held), "wanted": _value(edit.wanted)} for edit in change.edits]
    return {
        "tenant": tenant,
        "action": change.action.value,
        "where": change.where,
        "sid": change.sid,
        "edits": edits,
        "number_sid": change.number_sid,
        "number": hidden(change.number, reveal),
        "why": change.why,
    }


def _lines(tenant: str, change: "AccountChange", reveal: bool) -> list[str]:
    number = f" {hidden(change.number, reveal)} {change.number_sid}".rstrip()
    sid = f" ({change.sid})" if change.sid else ""
    why = f": {change.why}" if change.why else ""
    keep = "; stays without --prune" if change.action == "keep" else ""
    head = f"{SIGNS[change.action]} {change.action} {tenant}.{change.where}{sid}{number}{why}{keep}"
    return [head, *(f"      {_edit(edit)}" for edit in change.edits)]


def _edit(edit: "Edit") -> str:
    before = "" if edit.held is None else f"{_word(edit.held)} -> "
    return f"{edit.field}: {before}{_word(edit.wanted)}"


def _word(value: Any) -> Any:
    """As the tenants file has it."""
    return str(value).lower() if isinstance(value, bool) else _value(value) or "(not set)"


def _value(value: Any) -> Any:
    """URLs without what may be a password."""
    from app.provider.account.findings import shown

    if isinstance(value, str):
        return shown(value)
    return value
