"""Carrying out a plan, change by change. What was done before a refusal stays; a new plan goes on from there."""

from collections.abc import AsyncIterator, Sequence

from app.provider.account import account_reader
from app.provider.account.plan import AccountChange, Action
from app.provider.account.sdk_client import SdkClient


async def apply(line: SdkClient, changes: Sequence[AccountChange]) -> AsyncIterator[tuple[AccountChange, str]]:
    """Each change when it was made, with the SID of what it was made to. Raises UnansweredCallError at the one that
    was not.

    A plan that holds a refusal must not come here.
    """
    made: dict[str, str] = {}
    for change in changes:
        if change.action not in (Action.REFUSE, Action.KEEP):
            sid = change.sid or made.get(change.where, "")
            sid = await _make(line, change, sid)
            if change.action is Action.CREATE:
                made[change.where] = sid
            yield change, sid


async def _make(line: SdkClient, change: AccountChange, sid: str) -> str:
    """The SID of the service or number."""
    fields = {edit.field: edit.wanted for edit in change.edits}
    match change.action:
        case Action.CREATE:
            return await account_reader.create_service(line, fields)
        case Action.ALTER if change.where.startswith("services."):
            await account_reader.update_service(line, sid, fields)
        case Action.ALTER:
            await account_reader.update_number(line, sid, fields)
        case Action.ATTACH:
            await account_reader.attach(line, sid, change.number_sid)
        case Action.DETACH:
            await account_reader.detach(line, sid, change.number_sid)
    return sid
