"""After how many failures a number is invalid: a tenant's setting, stamped at each door that learns of a failure."""

from pathlib import Path

import msgspec
import pytest

from app.config.tenants import Tenant
from app.domain.model.inputs import MessagesListed
from app.domain.model.vocabulary import ErrorClass
from app.provider.callbacks import Report, read_report
from app.provider.error_enrichment import INVALID_AFTER, About, stamp_code
from app.provider.provider_api import CreateRejected
from tests.contracts.test_parameters import HEAD, LANE, checked, tenant, told
from tests.support.calling import Exchange
from tests.support.looked import housed
from tests.support.simulated import eventually

UNKNOWN_NUMBER = "+15005550103"


def given(text: str) -> str:
    return f"{HEAD}invalid_after = {text}\n{LANE}"


def test_what_a_tenant_does_not_say_is_as_usual() -> None:
    assert dict(INVALID_AFTER) == {"30003": 5, "30005": 3} and Tenant().invalid_after == {}
    about = About(0, invalid_after={"30003": 2})
    assert [stamp_code(code, about).invalid_after for code in (30003, 30005)] == [2, 3]


def test_what_makes_a_number_invalid_at_once_is_no_setting() -> None:
    assert stamp_code(30006, About(0, invalid_after={"30003": 2})).invalid_after == 1


def test_it_is_read_from_the_tenants_file(tmp_path: Path) -> None:
    assert tenant(tmp_path, given("{30003 = 0, 30005 = 20}")).invalid_after == {"30003": 0, "30005": 20}


BROKEN = {
    "{30006 = 2}": "invalid_after.30006: is not a code that is counted: 30003, 30005",
    "{30003 = 21}": "invalid_after.30003: Expected `int` <= 20",
    "{30003 = -1}": "invalid_after.30003: Expected `int` >= 0",
    "3": "invalid_after: Expected `object`, got `int`",
}


@pytest.mark.parametrize("text", BROKEN)
def test_a_count_that_cannot_be_is_a_fault(text: str, tmp_path: Path) -> None:
    assert told(tmp_path, given(text)) == [BROKEN[text]]


def test_config_check_says_what_it_means(tmp_path: Path) -> None:
    until = "a number is invalid, until it texts or something is delivered to it"
    code, found = checked(tmp_path, given("{30003 = 2, 30005 = 1}"))
    assert (code, found["notes"]) == (
        0,
        [
            f"tenant acme: invalid_after.30003: after 2 messages within 30 days that end with 30003 {until}",
            f"tenant acme: invalid_after.30005: after 1 message that ends with 30005 {until}",
        ],
    )
    assert checked(tmp_path, given("{30003 = 0}"))[1]["notes"] == [
        "tenant acme: invalid_after.30003: 30003 never makes a number invalid, however often"
    ]
    assert checked(tmp_path, HEAD + LANE)[1]["notes"] == []


def test_a_report_is_stamped_with_it() -> None:
    fields = {"MessageSid": "SM" + "a" * 32, "MessageStatus": "undelivered", "ErrorCode": "30005"}
    found = read_report(fields, {"m": "x", "a": "1"}, 0, {"30005": 7})
    assert isinstance(found, Report) and found.invalid_after == 7


async def test_an_answer_is_stamped_with_it() -> None:
    exchange = Exchange()
    exchange.wire.result = CreateRejected(code=30005, error=ErrorClass.NUMBER_UNREACHABLE, http_status=400)
    await exchange.start(1, invalid_after={"30005": 7})
    await exchange.start(2)
    await exchange.answer()
    assert {told.message_id: told.invalid_after for told in exchange.told} == {"c1-m": 7, "c2-m": 3}


async def test_what_is_found_on_twilios_list_is_stamped_with_it() -> None:
    async with housed(tenant={"invalid_after": {"30005": 7}}) as house:
        sid = (await house.simulated.create(to=UNKNOWN_NUMBER)).sid
        await eventually(lambda: "undelivered" in house.simulated.hook.statuses)
        house.sends(UNKNOWN_NUMBER, "hello", sid)
        await house.looks.round()
        [listed] = [msgspec.json.decode(output.value or b"", type=MessagesListed) for output in house.outputs]
    assert [(text.code, text.invalid_after) for text in listed.texts] == [(30005, 7)]
