"""What is no answer of Twilio's own form is a refusal with its status and code, never a crash and never quoted."""

from typing import Any

import pytest

from app.internal_server import InternalServer
from app.provider.account.account_reader import read_account, read_held, read_service, read_services
from app.provider.account.messages_api import MessageFilter, listed
from app.provider.account.sdk_client import SdkClient, UnansweredCallError
from tests.support.simulated import ACCOUNT, SERVICE, TOKEN, WebhookReceiver

JSON, PROBLEM, NUMBER = "application/json", "application/problem+json", "+14155550123"
LEGACY = b'{"code": 21211, "message": "The \'To\' number +14155550123 is not valid", "status": 400}'
NEWER = b'{"type": "https://e/21211", "title": "+14155550123", "status": 400, "code": 21211, "detail": "+14155550123"}'
ELSEWHERE = b'{"services": [], "meta": {"key": "services", "next_page_url": "https://evil.example.com/v1/Services"}}'
ANSWERS: list[tuple[tuple[int, str, bytes], int, int]] = [
    ((400, JSON, LEGACY), 400, 21211),
    ((400, PROBLEM, NEWER), 400, 21211),
    ((502, "text/html", b"<html>+14155550123</html>"), 502, 0),
    ((503, JSON, b""), 503, 0),
    ((301, "text/html", b""), 301, 0),
    ((200, "text/html", b"<html>"), 200, 0),
    ((200, JSON, b'{"sid": "AC'), 200, 0),
    ((200, JSON, b"[]"), 200, 0),
    ((200, JSON, b"null"), 200, 0),
    ((200, JSON, b"[" * 100_000), 200, 0),
]


async def refusal(answer: tuple[int, str, bytes], read: Any) -> UnansweredCallError:
    hook = WebhookReceiver()
    hook.answers = [answer]
    served = InternalServer(hook, "127.0.0.1", 0)
    await served.listening()
    async with SdkClient(ACCOUNT, (ACCOUNT, TOKEN), served.url) as line:
        with pytest.raises(UnansweredCallError) as caught:
            await read(line)
    await served.stop()
    return caught.value


@pytest.mark.parametrize(("answer", "status", "code"), ANSWERS)
async def test_p8_an_odd_answer_to_a_read_is_refused_by_status_and_code_alone(
    answer: tuple[int, str, bytes], status: int, code: int
) -> None:
    no = await refusal(answer, lambda line: read_account(line, ACCOUNT))
    assert (no.status, no.code) == (status, code) and NUMBER not in str(no)


@pytest.mark.parametrize(("answer", "status", "code"), ANSWERS)
async def test_p8_so_it_is_to_a_list(answer: tuple[int, str, bytes], status: int, code: int) -> None:
    for read in (read_held, read_services, lambda line: read_service(line, SERVICE)):
        no = await refusal(answer, read)
        assert (no.status, no.code) == (status, code) and NUMBER not in str(no)


async def test_a_next_page_on_another_server_is_not_asked_for() -> None:
    no = await refusal((200, JSON, ELSEWHERE), read_services)
    assert str(no) == "InvalidURL"


async def test_a_page_of_texts_that_is_none_is_refused_too() -> None:
    async def read(line: SdkClient) -> list[Any]:
        return [text async for text in listed(line, MessageFilter(), None)]

    assert (await refusal((429, JSON, b'{"code": 20429, "message": "slow", "status": 429}'), read)).code == 20429
