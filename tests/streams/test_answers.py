"""P4: an answer in hand is on our own disk before it is sent to the log, and forgotten when it is there."""

import asyncio

import msgspec
import pytest

from app.domain.model.vocabulary import CreateResult, ErrorClass
from app.streams.engine.agent import Output
from app.streams.sending.result_journal import ResultJournal
from tests.support.given import CONTACT, abandoned, doubtful, refused, taken


class Order:
    """A journal and a log that write down what was done to them, in order. `here`: whether the log takes anything."""

    def __init__(self) -> None:
        self.done_so_far: list[str] = []
        self.kept: dict[str, bytes] = {}
        self.sent: list[Output] = []
        self.here = asyncio.Event()

    async def keep(self, entry_id: str, value: bytes) -> None:
        self.done_so_far.append("kept")
        self.kept[entry_id] = value

    async def send(self, output: Output) -> None:
        await self.here.wait()
        self.done_so_far.append("sent")
        self.sent.append(output)

    def done(self, entry_id: str) -> None:
        self.done_so_far.append("forgotten")
        self.kept.pop(entry_id, None)

    def pending(self) -> list[tuple[str, bytes]]:
        return list(self.kept.items())


@pytest.fixture
def order() -> Order:
    return Order()


@pytest.fixture
def answers(order: Order) -> ResultJournal:
    return ResultJournal("contacts", order, order.send)


@pytest.mark.parametrize("answer", [taken(), refused(ErrorClass.REQUEST), doubtful()])
async def test_an_answer_is_kept_then_sent_then_forgotten(order: Order, answers: ResultJournal, answer):
    order.here.set()
    await answers.put(3, answer)
    assert order.done_so_far == ["kept", "sent", "forgotten"]
    [sent] = order.sent
    assert (sent.topic, sent.key, sent.partition) == ("contacts", CONTACT.encode(), 3)


async def test_while_the_log_takes_nothing_the_answer_stays_in_the_journal(order: Order, answers: ResultJournal):
    putting = asyncio.ensure_future(answers.put(3, taken()))
    while not order.done_so_far:
        await asyncio.sleep(0)
    assert (order.done_so_far, len(order.kept), putting.done()) == (["kept"], 1, False)
    order.here.set()
    await putting
    assert order.kept == {}


async def test_an_abandoned_call_left_nothing_behind_that_must_be_kept(order: Order, answers: ResultJournal):
    order.here.set()
    await answers.put(0, abandoned())
    assert order.done_so_far[0] == "sent" and order.sent[0].value is not None


async def test_an_answer_that_cannot_be_read_stays_in_the_journal_and_keeps_no_other_from_the_log(order, answers):
    order.here.set()
    order.kept = {"odd": b'{"type":"contact.guessed.v1"}', "good": msgspec.json.encode(taken())}
    await answers.replay()
    assert (len(order.sent), list(order.kept)) == (1, ["odd"])


async def test_what_an_earlier_process_left_is_sent_as_it_was_and_forgotten(order: Order, answers: ResultJournal):
    putting = asyncio.ensure_future(answers.put(3, taken()))
    while not order.kept:
        await asyncio.sleep(0)
    putting.cancel()
    [value] = order.kept.values()
    order.here.set()
    assert await answers.replay() == 1
    assert [sent.value for sent in order.sent] == [value] and order.kept == {}
    assert CreateResult.TAKEN.value.encode() in value
