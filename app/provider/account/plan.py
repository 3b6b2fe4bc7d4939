"""The difference between what is wanted and what an account holds: pure, and empty once it has been applied.

Numbers are only ever taken out of a service when `prune` says so: out of a declared one what it does not declare, and
out of any one what a declared one is to get.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import NamedTuple

import msgspec

from app.domain.content.phone import mask
from app.provider.account.account_reader import Field
from app.provider.account.account_state import AccountNumber, AccountService, AccountState
from app.provider.account.desired_state import DesiredNumber, DesiredService, DesiredState


class Action(StrEnum):
    """KEEP: would be done with --prune. REFUSE: nothing is done until a person has acted."""

    CREATE = "create"
    ALTER = "alter"
    ATTACH = "attach"
    DETACH = "detach"
    KEEP = "keep"
    REFUSE = "refuse"


class Edit(NamedTuple):
    """One field: what it is at Twilio (None: it is not there yet), what it is to be."""

    field: str
    held: Field | None
    wanted: Field


class AccountChange(msgspec.Struct, frozen=True, kw_only=True):
    """`where`: services.NAME or numbers.NAME of the tenants file; `sid`: what is changed, "" until it was made;
    `number_sid`, `number`: what is attached or detached, in E.164."""

    action: Action
    where: str
    sid: str = ""
    edits: tuple[Edit, ...] = ()
    number_sid: str = ""
    number: str = ""
    why: str = ""

    def __repr__(self) -> str:
        return f"<Change {self.action} {self.where}>"

    @property
    def masked(self) -> str:
        """What may be shown of the number."""
        return mask(self.number) if self.number else ""


class _Look(NamedTuple):
    """What is compared with. `services`, `numbers`: how often the tenants file declares each, by SID; `names`: how
    often a service without one, by friendly_name."""

    held: AccountState
    prune: bool
    services: Mapping[str, int]
    numbers: Mapping[str, int]
    names: Mapping[str, int]


def plan(wanted: DesiredState, held: AccountState, *, prune: bool = False) -> tuple[AccountChange, ...]:
    """In the order in which they are to be made: what is taken out of one service can then go into another."""
    declared = [number for service in wanted.services for number in service.numbers]
    numbers = Counter(number.sid for text in declared if (number := held.number(text)) is not None)
    names = Counter(service.friendly_name for service in wanted.services if not service.sid)
    look = _Look(held, prune, Counter(sids(wanted, held).values()), numbers, names)
    found = [change for service in wanted.services for change in _service(service, look)]
    found += [change for number in wanted.numbers for change in _number(number, held)]
    first = (Action.REFUSE, Action.CREATE, Action.ALTER, Action.DETACH)
    order = {action: at for at, action in enumerate((*first, Action.ATTACH, Action.KEEP))}
    return tuple(sorted(_once(found), key=lambda change: order[change.action]))


def find(service: DesiredService, held: AccountState) -> AccountService | str | None:
    """The service at Twilio; None if it is to be made; a text says why neither can be said."""
    if service.sid:
        return held.service(service.sid) or "no such service in this account: see twilio services list"
    named = held.named(service.friendly_name)
    if len(named) > 1:
        sids = ", ".join(one.sid for one in named)
        return f"several services have its friendly_name ({sids}): put the sid of one in the tenants file"
    return named[0] if named else None


def sids(wanted: DesiredState, held: AccountState) -> dict[str, str]:
    """Of the declared services that are there, by name."""
    found = {service.name: find(service, held) for service in wanted.services}
    return {name: one.sid for name, one in found.items() if isinstance(one, AccountService)}


def _service(service: DesiredService, look: _Look) -> Iterator[AccountChange]:
    where, found = f"services.{service.name}", find(service, look.held)
    if isinstance(found, AccountService) and look.services[found.sid] > 1:
        found = f"is {found.sid}, and so is another service of the tenants file"
    if found is None and look.names[service.friendly_name] > 1:
        found = "has the friendly_name of another service of the tenants file: made, the two could not be told apart"
    if isinstance(found, str):
        yield AccountChange(action=Action.REFUSE, where=where, sid=service.sid, why=found)
        return
    if found is None:
        edits = tuple(Edit(name, None, value) for name, value in service.fields.items())
        yield AccountChange(action=Action.CREATE, where=where, edits=edits)
    elif edits := _edits(service.fields, found):
        yield AccountChange(action=Action.ALTER, where=where, sid=found.sid, edits=edits)
    yield from _attachments(service, found, look)


def _attachments(service: DesiredService, found: AccountService | None, look: _Look) -> Iterator[AccountChange]:
    where, sid = f"services.{service.name}", found.sid if found else ""
    declared = []
    for at, text in enumerate(service.numbers):
        number = look.held.number(text)
        if number is None:
            why = "no such number in this account: see twilio numbers list"
            yield AccountChange(action=Action.REFUSE, where=f"{where}.numbers[{at}]", why=why)
            continue
        declared.append(number.sid)
        if look.numbers[number.sid] > 1:
            yield _moved(Action.REFUSE, where, sid, number, number.sid, "is declared twice")
        elif found is None or number.sid not in found.numbers:
            yield from _attach(where, sid, number, look)
    for number_sid in found.numbers if found else ():
        if number_sid not in declared:
            action = Action.DETACH if look.prune else Action.KEEP
            yield _moved(action, where, sid, look.held.number(number_sid), number_sid, "is not declared")


def _attach(where: str, sid: str, number: AccountNumber, look: _Look) -> Iterator[AccountChange]:
    """Twilio keeps a number in one service: it is taken out of the other first."""
    holder = look.held.holder(number.sid)
    if holder is not None and not look.prune:
        why = f"is in service {holder.sid}: --prune takes it out of there"
        yield _moved(Action.REFUSE, where, sid, number, number.sid, why)
        return
    if holder is not None:
        yield _moved(Action.DETACH, where, holder.sid, number, number.sid, "goes to another service")
    yield _moved(Action.ATTACH, where, sid, number, number.sid, "")


def _moved(
    action: Action, where: str, sid: str, number: AccountNumber | None, number_sid: str, why: str
) -> AccountChange:
    e164 = number.phone_number if number else ""
    return AccountChange(action=action, where=where, sid=sid, number_sid=number_sid, number=e164, why=why)


def _number(number: DesiredNumber, held: AccountState) -> Iterator[AccountChange]:
    where, found = f"numbers.{number.name}", held.number(number.number)
    if found is None:
        why = "no such number in this account: see twilio numbers list"
        yield AccountChange(action=Action.REFUSE, where=where, why=why)
    elif found.sms_application_sid:
        why = f"has application {found.sms_application_sid}, and Twilio ignores its URLs: take it off there"
        yield AccountChange(action=Action.REFUSE, where=where, sid=found.sid, number=found.phone_number, why=why)
    elif edits := _edits(number.fields, found):
        yield AccountChange(action=Action.ALTER, where=where, sid=found.sid, number=found.phone_number, edits=edits)


def _edits(fields: dict[str, Field], held: AccountService | AccountNumber) -> tuple[Edit, ...]:
    pairs = [(name, getattr(held, name), value) for name, value in fields.items()]
    return tuple(Edit(name, is_so, to_be) for name, is_so, to_be in pairs if is_so != to_be)


def _once(changes: list[AccountChange]) -> list[AccountChange]:
    """A number that one declared service loses to another is taken out once."""
    kept: dict[tuple[str, ...], AccountChange] = {}
    for change in changes:
        out = change.action in (Action.DETACH, Action.KEEP)
        key = ("out", change.sid, change.number_sid) if out else (str(len(kept)), change.action, change.where)
        kept.setdefault(key, change)
    return list(kept.values())
