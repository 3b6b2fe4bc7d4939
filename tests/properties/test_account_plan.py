"""The plan of an account: applied, nothing is left to do; without prune nothing is ever taken away."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from app.provider.account.account_state import AccountNumber, AccountService, AccountState
from app.provider.account.desired_state import DesiredNumber, DesiredService, DesiredState
from app.provider.account.plan import AccountChange, Action, plan

NUMBERS = tuple(AccountNumber(sid=f"PN{n:032}", phone_number=f"+141555501{n:02}") for n in range(4))
SIDS = tuple(f"MG{n:032}" for n in range(3))
URLS = st.sampled_from(["https://a.example/in", "https://b.example/in"])


@st.composite
def accounts(draw: Any) -> AccountState:
    """Up to three services, each number in one of them or in none."""
    places = draw(st.lists(st.sampled_from([*SIDS, ""]), min_size=len(NUMBERS), max_size=len(NUMBERS)))
    services = [
        AccountService(
            sid=sid,
            friendly_name=draw(st.sampled_from(["main", "other"])),
            inbound_request_url=draw(URLS),
            numbers=tuple(number.sid for number, place in zip(NUMBERS, places, strict=True) if place == sid),
        )
        for sid in SIDS
    ]
    held = [msgspec.structs.replace(number, sms_url=draw(URLS)) for number in NUMBERS]
    return AccountState(services=tuple(services), numbers=tuple(held))


def names(number: AccountNumber) -> st.SearchStrategy[str]:
    return st.sampled_from([number.sid, number.phone_number])


@st.composite
def wishes(draw: Any) -> DesiredState:
    """Services by SID or by name, numbers by SID or in E.164, some that are not there."""
    services = []
    for name in draw(st.lists(st.sampled_from(["x", "y"]), min_size=1, unique=True)):
        numbers = [draw(names(number)) for number in draw(st.lists(st.sampled_from(NUMBERS), unique=True))]
        services.append(
            DesiredService(
                name=name,
                sid=draw(st.sampled_from(["", *SIDS, *SIDS, f"MG{9:032}"])),
                friendly_name=draw(st.sampled_from([f"new {name}", "main"])),
                fields={"inbound_request_url": draw(URLS), "sticky_sender": draw(st.booleans())},
                numbers=tuple(draw(st.permutations(numbers)))
                + draw(st.sampled_from([(), (), (), (), (f"PN{9:032}",)])),
            )
        )
    numbers = [DesiredNumber(name="n", number=draw(names(NUMBERS[0])), fields={"sms_url": draw(URLS)})]
    return DesiredState(services=tuple(services), numbers=tuple(draw(st.sampled_from([[], numbers]))))


def carried_out(held: AccountState, changes: tuple[AccountChange, ...], wanted: DesiredState) -> AccountState:
    """What the account holds once all is done that is not refused; as Twilio has it, a number is in one service."""
    friendly = {f"services.{service.name}": service.friendly_name for service in wanted.services}
    services = {service.sid: service for service in held.services}
    numbers = {number.sid: number for number in held.numbers}
    made: dict[str, str] = {}
    for change in changes:
        fields, sid = {edit.field: edit.wanted for edit in change.edits}, change.sid or made.get(change.where, "")
        match change.action:
            case Action.CREATE:
                made[change.where] = sid = f"MG{'f' * 31}{len(made)}"
                services[sid] = AccountService(sid=sid, friendly_name=friendly[change.where], **fields)
            case Action.ALTER:
                kept = services if change.where.startswith("services") else numbers
                kept[sid] = msgspec.structs.replace(kept[sid], **fields)
            case Action.DETACH:
                left = tuple(one for one in services[sid].numbers if one != change.number_sid)
                assert left != services[sid].numbers, "was not there"
                services[sid] = msgspec.structs.replace(services[sid], numbers=left)
            case Action.ATTACH:
                assert all(change.number_sid not in service.numbers for service in services.values()), "is in one"
                attached = (*services[sid].numbers, change.number_sid)
                services[sid] = msgspec.structs.replace(services[sid], numbers=attached)
    return AccountState(services=tuple(services.values()), numbers=tuple(numbers.values()))


@given(accounts(), wishes(), st.booleans())
def test_what_was_applied_is_not_to_be_done_again(held: AccountState, wanted: DesiredState, prune: bool) -> None:
    changes = plan(wanted, held, prune=prune)
    if any(change.action is Action.REFUSE for change in changes):
        return
    again = plan(wanted, carried_out(held, changes, wanted), prune=prune)
    assert {change.action for change in again} <= {Action.KEEP}
    assert not prune or again == ()


@given(accounts(), wishes())
def test_nothing_is_taken_away_without_prune(held: AccountState, wanted: DesiredState) -> None:
    assert [change for change in plan(wanted, held) if change.action is Action.DETACH] == []


@given(accounts(), wishes())
def test_what_would_be_taken_away_is_told_and_with_prune_it_is(held: AccountState, wanted: DesiredState) -> None:
    def out(prune: bool, action: Action) -> set[tuple[str, str]]:
        return {(c.sid, c.number_sid) for c in plan(wanted, held, prune=prune) if c.action is action}

    assert out(False, Action.KEEP) <= out(True, Action.DETACH)


@given(accounts(), wishes())
def test_a_plan_shows_no_whole_number_by_accident(held: AccountState, wanted: DesiredState) -> None:
    told = "".join(f"{change!r} {change.why} {change.where}" for change in plan(wanted, held, prune=True))
    assert [number for number in NUMBERS if number.phone_number in told] == []


def test_two_services_to_be_made_by_one_name_are_refused():
    wanted = tuple(DesiredService(name=n, sid="", friendly_name="main", fields={}, numbers=()) for n in ("x", "y"))
    changes = plan(DesiredState(services=wanted, numbers=()), AccountState(services=(), numbers=()))
    assert [change.action for change in changes] == [Action.REFUSE, Action.REFUSE]
