"""Reading an account by the SDK into our structs, and writing to it."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from app.provider.account.account_state import (
    Account,
    AccountCampaign,
    AccountNumber,
    AccountService,
    AccountState,
    AccountVerification,
    Members,
)
from app.provider.account.sdk_client import SdkClient, asked

PAGE_SIZE = 100
Field = str | bool | int
_SERVICE = tuple(name for name in AccountService.__struct_fields__ if name not in ("sid", "numbers"))
_NUMBER = tuple(name for name in AccountNumber.__struct_fields__ if name not in ("sid", "sms", "mms"))


async def read_account(line: SdkClient, sid: str) -> Account:
    """The account itself; Twilio shows it to its auth token, not to an API key. Raises UnansweredCallError."""
    found = await asked(line.sdk.api.v2010.accounts(sid).fetch_async())
    return Account(sid=str(found.sid), status=str(found.status), type=str(found.type))


async def read_held(
    line: SdkClient, looked_into: Callable[[AccountState], Iterable[str]] = lambda _: ()
) -> AccountState:
    """Numbers, services with their numbers; other senders and campaigns of the services that `looked_into` names (by
    SID); verifications if there is a toll-free number. Raises UnansweredCallError."""
    numbers = await read_numbers(line)
    held = AccountState(services=await read_services(line), numbers=numbers)
    members = {sid: await _members(line, sid) for sid in dict.fromkeys(looked_into(held)) if held.service(sid)}
    verifications = await _verifications(line) if any(number.toll_free for number in numbers) else ()
    return msgspec.structs.replace(held, members=members, verifications=verifications)


async def read_numbers(line: SdkClient, phone_number: str = "") -> tuple[AccountNumber, ...]:
    """All, or those that are this number. Raises UnansweredCallError."""
    given = {"phone_number": phone_number} if phone_number else {}
    return tuple(map(_number, await asked(line.sdk.incoming_phone_numbers.list_async(page_size=PAGE_SIZE, **given))))


async def read_number(line: SdkClient, sid: str) -> AccountNumber:
    """By SID. Raises UnansweredCallError."""
    return _number(await asked(line.sdk.incoming_phone_numbers(sid).fetch_async()))


async def read_services(line: SdkClient) -> tuple[AccountService, ...]:
    """All, each with the SIDs of its numbers. Raises UnansweredCallError."""
    found = await asked(line.sdk.messaging.v1.services.list_async(page_size=PAGE_SIZE))
    return tuple([_service(one, await _attached(line, one.sid)) for one in found])


async def read_service(line: SdkClient, sid: str) -> tuple[AccountService, Members]:
    """One, with all it has. Raises UnansweredCallError."""
    found = await asked(line.sdk.messaging.v1.services(sid).fetch_async())
    return _service(found, await _attached(line, sid)), await _members(line, sid)


async def create_service(line: SdkClient, fields: Mapping[str, Field]) -> str:
    """Its SID. Raises UnansweredCallError."""
    return str((await asked(line.sdk.messaging.v1.services.create_async(**fields))).sid)


async def update_service(line: SdkClient, sid: str, fields: Mapping[str, Field]) -> None:
    """Change fields of a Messaging Service. Raises UnansweredCallError."""
    await asked(line.sdk.messaging.v1.services(sid).update_async(**fields))


async def attach(line: SdkClient, service_sid: str, number_sid: str) -> None:
    """Add a number to a Messaging Service. Raises UnansweredCallError."""
    await asked(line.sdk.messaging.v1.services(service_sid).phone_numbers.create_async(number_sid))


async def detach(line: SdkClient, service_sid: str, number_sid: str) -> None:
    """Remove a number from a Messaging Service. Raises UnansweredCallError."""
    await asked(line.sdk.messaging.v1.services(service_sid).phone_numbers(number_sid).delete_async())


async def update_number(line: SdkClient, sid: str, fields: Mapping[str, Field]) -> None:
    """Change fields of a phone number. Raises UnansweredCallError."""
    await asked(line.sdk.incoming_phone_numbers(sid).update_async(**fields))


async def _attached(line: SdkClient, sid: str) -> tuple[str, ...]:
    found = await asked(line.sdk.messaging.v1.services(sid).phone_numbers.list_async(page_size=PAGE_SIZE))
    return tuple(str(number.sid) for number in found)


async def _members(line: SdkClient, sid: str) -> Members:
    service = line.sdk.messaging.v1.services(sid)
    short_codes = await asked(service.short_codes.list_async(page_size=PAGE_SIZE))
    names = await asked(service.alpha_senders.list_async(page_size=PAGE_SIZE))
    campaigns = await asked(service.us_app_to_person.list_async(page_size=PAGE_SIZE))
    return Members(other_senders=len(short_codes) + len(names), campaigns=tuple(map(_campaign, campaigns)))


async def _verifications(line: SdkClient) -> tuple[AccountVerification, ...]:
    found = await asked(line.sdk.messaging.v1.tollfree_verifications.list_async(page_size=PAGE_SIZE))
    return tuple(
        AccountVerification(
            number_sid=str(one.tollfree_phone_number_sid),
            status=str(one.status),
            rejection_reason=str(one.rejection_reason or ""),
        )
        for one in found
    )


def _service(found: Any, numbers: tuple[str, ...]) -> AccountService:
    given = {name: value for name in _SERVICE if (value := getattr(found, name)) is not None}
    return AccountService(sid=str(found.sid), numbers=numbers, **given)


def _number(found: Any) -> AccountNumber:
    given = {name: value for name in _NUMBER if (value := getattr(found, name)) is not None}
    able: Any = found.capabilities if isinstance(found.capabilities, dict) else {}
    return AccountNumber(sid=str(found.sid), sms=bool(able.get("sms")), mms=bool(able.get("mms")), **given)


def _campaign(found: Any) -> AccountCampaign:
    return AccountCampaign(
        sid=str(found.sid),
        campaign_status=str(found.campaign_status),
        campaign_id=str(found.campaign_id or ""),
        us_app_to_person_usecase=str(found.us_app_to_person_usecase or ""),
    )
