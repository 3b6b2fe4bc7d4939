"""Twilio's list, asked over a real socket of the simulator: by recipient, by when, page after page, in and out."""

import time
from typing import Any

import pytest
from twilio.http.response import Response

from app.domain.model.vocabulary import DeliveryStatus, ErrorClass
from app.provider import message_list
from app.provider.http import Timeouts
from app.provider.message_list import ListedMessage, MessagePage, PageUnavailable, Query, ask_page
from app.provider.twilio import TwilioProvider
from tests.support.simulated import ACCOUNT, NUMBER, PERSON, SERVICE, TOKEN, RunningSimulator, eventually, simulating

OTHER = "+14155550124"


async def ask(simulated: RunningSimulator, query: Query, token: str = TOKEN) -> list[MessagePage | PageUnavailable]:
    """Every page."""
    provider = TwilioProvider(ACCOUNT, (ACCOUNT, token), simulated.url, Timeouts(5.0, 5.0, 5.0), 5)
    try:
        pages = [await provider.page(query)]
        while isinstance(pages[-1], MessagePage) and pages[-1].after:
            pages.append(await provider.page(query, pages[-1].after))
        return pages
    finally:
        await provider.close()


async def found(simulated: RunningSimulator, **query: Any) -> list[ListedMessage]:
    return [text for page in await ask(simulated, Query(**query)) for text in page.texts]


async def all_over(simulated: RunningSimulator, count: int) -> None:
    await eventually(lambda: simulated.hook.statuses.count("delivered") >= count)


async def test_a_text_is_found_by_its_recipient_with_status_sender_text_and_time() -> None:
    async with simulating() as simulated:
        began = int(time.time()) * 1000
        made = await simulated.create(body="Build 742 deployed.")
        await simulated.create(to=OTHER)
        await all_over(simulated, 2)
        (text,) = await found(simulated, to=PERSON)
    assert (text.sid, text.to, text.sender, text.body) == (made.sid, PERSON, NUMBER, "Build 742 deployed.")
    assert (text.progress, text.status, text.code, text.media) == (DeliveryStatus.DELIVERED, "delivered", None, 0)
    assert began <= text.created_ms <= time.time() * 1000 and text.by_api and not text.inbound


async def test_a_failure_comes_with_its_code_and_class_and_a_picture_is_counted() -> None:
    async with simulating(ends={PERSON: "undelivered:30007"}) as simulated:
        await simulated.create(messaging_service_sid=SERVICE, media_url=["https://example.com/a.png"])
        await eventually(lambda: "undelivered" in simulated.hook.statuses)
        (text,) = await found(simulated, to=PERSON)
    assert (text.progress, text.code, text.error) == (DeliveryStatus.UNDELIVERED, 30007, ErrorClass.FILTERED)
    assert (text.service, text.media) == (SERVICE, 1)


async def test_what_came_in_is_found_by_our_number_and_has_no_progress() -> None:
    async with simulating() as simulated:
        simulated.hook.answers = [(200, "text/xml", b"<Response/>")]
        await simulated.post("/_sim/inbound", **{"from": PERSON, "body": "STOP"})
        (text,) = await found(simulated, to=NUMBER)
    assert (text.inbound, text.by_api, text.sender, text.body, text.progress) == (True, False, PERSON, "STOP", None)


async def test_by_when_it_was_sent_both_ends_included_and_what_waits_in_the_queue_is_not_there() -> None:
    async with simulating(step_ms=1.0, ends={OTHER: "delivered"}) as simulated:
        now = int(time.time()) * 1000
        await simulated.create()
        await all_over(simulated, 1)
        await simulated.post("/_sim/config", step_ms=60_000.0)
        await simulated.create(to=OTHER)
        within = await found(simulated, sent_from_ms=now - 1000, sent_until_ms=now + 10_000)
        before = await found(simulated, sent_until_ms=now - 60_000)
        after = await found(simulated, sent_from_ms=now + 60_000)
        waiting = await found(simulated, to=OTHER)
    assert [text.to for text in within] == [PERSON] and before == [] and after == []
    assert [text.progress for text in waiting] == [DeliveryStatus.QUEUED]


async def test_every_page_is_asked_for_newest_first_and_new_texts_shift_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message_list, "PAGE_SIZE", 2)
    async with simulating() as simulated:
        made = [(await simulated.create(body=f"text {n}")).sid for n in range(5)]
        await all_over(simulated, 5)
        provider = TwilioProvider(ACCOUNT, (ACCOUNT, TOKEN), simulated.url, Timeouts(5.0, 5.0, 5.0), 5)
        query, seen = Query(to=PERSON), []
        page = await provider.page(query)
        while isinstance(page, MessagePage):
            seen += [text.sid for text in page.texts]
            await simulated.create(body="meanwhile")
            if not page.after:
                break
            page = await provider.page(query, page.after)
        await provider.close()
    assert seen == made[::-1]


async def test_wrong_credentials_and_a_server_that_is_away_are_no_page() -> None:
    async with simulating() as simulated:
        assert await ask(simulated, Query(), token="another") == [PageUnavailable(why="http 401", http_status=401)]
        url = simulated.url
    provider = TwilioProvider(ACCOUNT, (ACCOUNT, TOKEN), url, Timeouts(5.0, 5.0, 5.0), 5)
    (away,) = [await provider.page(Query(to=PERSON))]
    await provider.close()
    assert isinstance(away, PageUnavailable) and away.http_status == 0 and PERSON not in repr(away)


def test_p8_neither_query_nor_text_shows_what_it_holds() -> None:
    assert repr(Query(to=PERSON)) == "<Query>"


async def page_of(*texts: str) -> MessagePage | PageUnavailable:
    class Http:
        async def request(self, method: str, uri: str, **given: Any) -> Response:
            return Response(200, f'{{"messages":[{",".join(texts)}]}}')

    return await ask_page(Http(), ACCOUNT, Query())  # type: ignore[arg-type] # all of it that is asked


def resource(body: str = "STOP", **given: str) -> str:
    fields = {
        "sid": '"SM1"',
        "status": '"received"',
        "date_created": '"Tue, 03 Mar 2026 10:00:00 +0000"',
        "body": f'"{body}"',
        **given,
    }
    return "{" + ",".join(f'"{name}":{value}' for name, value in fields.items()) + "}"


async def test_a_text_with_half_an_emoji_does_not_cost_the_page_that_it_is_on() -> None:
    page = await page_of(resource("STOP \\ud83d"))
    assert isinstance(page, MessagePage) and [text.body for text in page.texts] == ["STOP \ufffd"] and page.whole


@pytest.mark.parametrize(
    "odd",
    ["7", "{}", resource(date_created='"Mon, 01 Jan 2024 00:00:00 +' + "9" * 30 + '"'), resource(date_created='"yesterday"'),
     resource(error_code="1" * 5000), resource(date_created="null")],
)  # fmt: skip
async def test_a_text_that_cannot_be_read_costs_no_other_and_the_list_is_not_whole(odd: str) -> None:
    page = await page_of(resource(), odd, resource())
    assert isinstance(page, MessagePage) and [text.body for text in page.texts] == ["STOP", "STOP"] and not page.whole


async def test_numbers_that_cannot_be_count_as_none() -> None:
    page = await page_of(
        resource(error_code="1" + "0" * 300, num_media='"' + "9" * 5000 + '"'), resource(error_code="0")
    )
    assert isinstance(page, MessagePage) and [(text.code, text.media) for text in page.texts] == [(None, 0), (None, 0)]
