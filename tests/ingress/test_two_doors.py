"""Two ingress processes take webhooks of the same people while Kafka is away; either spool may be read out first."""

import asyncio

import msgspec
import pytest
from aiokafka.errors import KafkaConnectionError
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.model.inputs import TextArrived
from app.domain.model.vocabulary import Intent
from app.ingress.durable.record import LogRecord
from app.ingress.durable.spool import Spool
from app.ingress.durable.writer import LogWriter
from app.records.seal import Sealer
from tests.support.given import START_MS, text
from tests.support.given import ContactLog as Contact
from tests.support.ingress_server import FakeKafka, FakeLine, eventually

# Where each text goes, what it says, how long after the one before it.
TEXTS = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from([Intent.STOP, Intent.START, Intent.NONE]), st.integers(1, 5000)),
    min_size=1,
    max_size=8,
)


def wanted(received: list[TextArrived]) -> bool:
    """Whether the person is opted out: nobody said START more than 2 s after the last STOP."""
    stops = [one.at for one in received if one.intent is Intent.STOP]
    starts = [one.at for one in received if one.intent is Intent.START]
    return bool(stops) and not any(at > max(stops) + 2000 for at in starts)


def folded(kafka: FakeKafka) -> bool:
    log = Contact().then(*(msgspec.json.decode(one.value, type=TextArrived) for one in kafka.records))
    assert log.contact is not None
    return log.contact.consent.opted_out


class Way(FakeKafka):
    """One process's way to the Kafka that both have: there once it is `clear`."""

    def __init__(self, kafka: FakeKafka) -> None:
        super().__init__()
        self.records, self.here, self.clear = kafka.records, False, asyncio.Event()

    async def open(self) -> FakeLine:
        if self.here:
            await self.clear.wait()
            return await super().open()
        self.here = True  # the first look finds nobody
        raise KafkaConnectionError


@settings(max_examples=60, deadline=None)
@given(TEXTS, st.permutations([0, 1]))
def test_p3_consent_is_that_of_the_last_word_received_whichever_spool_is_read_out_first(
    tmp_path_factory: pytest.TempPathFactory, texts: list[tuple[int, Intent, int]], order: list[int]
) -> None:
    async def history() -> None:
        kafka, path, at, received = (
            FakeKafka(),
            tmp_path_factory.mktemp("doors"),
            START_MS,
            list[list[TextArrived]]([[], []]),
        )
        ways, faults = [Way(kafka), Way(kafka)], list[BaseException]()
        doors = [
            LogWriter(Spool(path / str(n), Sealer({"k1": b"k" * 32}), frozenset()), way.open, faults.append)  # type: ignore[arg-type]
            for n, way in enumerate(ways)
        ]
        for door in doors:
            await door.start()
        for n, (where, intent, later) in enumerate(texts):
            at += later
            one = text(intent, at, f"SM{n}")
            received[where].append(one)
            await doors[where].put(LogRecord("contacts", b"key", msgspec.json.encode(one)))
        for n in order:
            ways[n].clear.set()
            await eventually(lambda n=n: not doors[n].away)
        for door in doors:
            await door.stop()
        sids = [msgspec.json.decode(one.value, type=TextArrived).sid for one in kafka.records]
        assert sids == [one.sid for n in order for one in received[n]] and faults == []
        assert folded(kafka) == wanted([*received[0], *received[1]])

    asyncio.run(history())
