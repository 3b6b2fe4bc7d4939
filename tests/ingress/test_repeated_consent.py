"""P3: a START that Twilio delivers again, through another process or route of the ingress, reopens nothing."""

from pathlib import Path

import msgspec

from app.domain.model.inputs import TextArrived
from tests.support.given import ContactLog as Contact
from tests.support.ingress_server import PUBLIC, FakeKafka, door

OLD_START, STOP, NEW_START = ("SM" + digit * 32 for digit in "123")


def opted_out(kafka: FakeKafka) -> list[bool]:
    """After each text that was taken. Each is received ten seconds after the one before."""
    log, states = Contact(), []
    for n, record in enumerate(kafka.records):
        one = msgspec.json.decode(record.value, type=TextArrived)
        log.then(msgspec.structs.replace(one, at=one.at + n * 10_000))
        assert log.contact is not None
        states.append(log.contact.consent.opted_out)
    return states


async def test_p3_a_start_delivered_again_after_a_stop_by_any_route_does_not_reopen(tmp_path: Path) -> None:
    kafka, failed = FakeKafka(), {"ErrorCode": "11200", "ErrorUrl": f"{PUBLIC}/twilio/inbound"}
    async with door(tmp_path / "one", kafka) as made:
        await made.text("START", MessageSid=OLD_START)
        await made.text("STOP", MessageSid=STOP)
        await made.text("START", MessageSid=OLD_START)
    async with door(tmp_path / "two", kafka) as made:
        await made.text("START", MessageSid=OLD_START)
        await made.text("START", "/twilio/fallback", MessageSid=OLD_START, **failed)
        await made.text("START", "/twilio/fallback", MessageSid=NEW_START, **failed)
    assert opted_out(kafka) == [False, True, True, True, True, False]
