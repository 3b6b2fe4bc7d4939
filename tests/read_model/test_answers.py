"""GET /v1/messages and repeated POSTs over a real socket, on SQLite and PostgreSQL; and without a database that works."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from app.read_model.reader import ReadModel
from app.read_model.tables import database_url, messages, open_engine, read_models
from tests.support.ingress_server import PERSON, IngressServer, door
from tests.support.keyring import ACME_KEY, BETA_KEY
from tests.support.projected import SID, put, state

EVENT = {"to": PERSON, "body": "Build 742 deployed."}
OTHER = "+14155550124"
WARNING = "heliograph-warning"


@asynccontextmanager
async def reading(path: Path, url: sa.URL, **given: Any) -> AsyncIterator[IngressServer]:
    """A door that reads this database."""
    engine = open_engine(url, 0.25, read_only=True)
    async with door(path, read_model=ReadModel(engine, **given)) as made:
        yield made
    engine.dispose()


async def get(made: IngressServer, path: str, key: str = ACME_KEY) -> httpx.Response:
    return await made.http.get(path, headers={"Authorization": f"Bearer {key}"})


async def test_a_message_is_shown_to_its_tenant_and_is_none_to_another(
    url: sa.URL, engine: sa.Engine, tmp_path: Path
) -> None:
    known = state("acme", PERSON, "k1", EVENT)
    put(engine, known)
    async with reading(tmp_path, url) as made:
        own = await get(made, f"/v1/messages/{known.message_id}")
        foreign = await get(made, f"/v1/messages/{known.message_id}", BETA_KEY)
        unknown = await get(made, f"/v1/messages/{known.message_id[:-1]}f")
        nobody = await get(made, f"/v1/messages/{known.message_id}", "wrong")
    told = own.json()
    assert (own.status_code, told["message_sid"], told["status"], told["outcome"]) == (200, SID, "taken", None)
    assert told["attempts"] == [{"attempt": 1, "message_sid": SID, "status": "taken", "error_code": None}]
    assert "4155550123" not in own.text and WARNING not in own.headers
    assert [foreign.status_code, unknown.status_code, nobody.status_code] == [404, 404, 401]
    assert foreign.json() == unknown.json()


async def test_the_messages_of_a_key_are_those_of_the_tenant_that_asks(
    url: sa.URL, engine: sa.Engine, tmp_path: Path
) -> None:
    mine = [state("acme", to, "k 1+&", EVENT) for to in (PERSON, OTHER)]
    put(engine, *mine, state("beta", PERSON, "k 1+&", EVENT), state("acme", PERSON, "k2", EVENT))
    async with reading(tmp_path, url) as made:
        found = await made.http.get(
            "/v1/messages", params={"idempotency_key": "k 1+&"}, headers={"Authorization": f"Bearer {ACME_KEY}"}
        )
        none = await get(made, "/v1/messages?idempotency_key=k3")
        unasked = await get(made, "/v1/messages")
    assert {one["message_id"] for one in found.json()["messages"]} == {one.message_id for one in mine}
    assert (none.status_code, none.json()) == (200, {"messages": []})
    assert (unasked.status_code, unasked.json()["field"]) == (422, "idempotency_key")


async def test_a_repeated_post_is_answered_with_the_state_and_produces_nothing(
    url: sa.URL, engine: sa.Engine, tmp_path: Path
) -> None:
    known = state("acme", PERSON, "k1", EVENT, outcome="delivered", reason="reported", revision=1)
    put(engine, known)
    async with reading(tmp_path, url) as made:
        answer = await made.ask(EVENT, Idempotency_Key="k1")
        assert made.kafka.records == []
    told = answer.json()
    assert (answer.status_code, told["message_ids"], told["idempotency_key"]) == (200, [known.message_id], "k1")
    [one] = told["messages"]
    assert (one["status"], one["message_sid"], one["outcome"]["revision"]) == ("delivered", SID, 1)


async def test_another_payload_under_a_key_is_409_and_produces_nothing(
    url: sa.URL, engine: sa.Engine, tmp_path: Path
) -> None:
    known = state("acme", PERSON, "k1", EVENT)
    put(engine, known)
    async with reading(tmp_path, url) as made:
        for event in ({**EVENT, "body": "Other."}, {**EVENT, "to": [OTHER, PERSON], "body": "Other."}):
            answer = await made.ask(event, Idempotency_Key="k1")
            problem = answer.json()
            assert (answer.status_code, problem["status"], problem["field"]) == (409, 409, "idempotency_key")
            assert answer.headers["content-type"] == "application/problem+json" and known.message_id in problem["rule"]
        assert made.kafka.records == []
        assert (await made.ask({**EVENT, "body": "Other."}, BETA_KEY, Idempotency_Key="k1")).status_code == 202


async def test_several_recipients_are_answered_with_a_state_each_once_all_are_known(
    url: sa.URL, engine: sa.Engine, tmp_path: Path
) -> None:
    event = {**EVENT, "to": [OTHER, PERSON]}
    both = [state("acme", to, "k1", event) for to in (OTHER, PERSON)]
    put(engine, *both, state("acme", PERSON, "k2", event), state("acme", PERSON, "k3", EVENT, request_digest=""))
    async with reading(tmp_path, url) as made:
        all_known = await made.ask(event, Idempotency_Key="k1")
        half_known = await made.ask(event, Idempotency_Key="k2")
        without_digest = await made.ask({**EVENT, "body": "Corrected."}, Idempotency_Key="k3")
        assert [value["idempotency_key"] for value in made.kafka.of("notify.requests.acme")] == ["k2", "k3"]
    assert [one["message_id"] for one in all_known.json()["messages"]] == [one.message_id for one in both]
    assert [half_known.status_code, without_digest.status_code] == [202, 202]


async def taken_with(made: IngressServer, problem: str) -> None:
    """A request is taken at once and says so; health says it too and stays well; a state is not to be had."""
    answer = await asyncio.wait_for(made.ask(EVENT, Idempotency_Key="k1"), 5)
    assert (answer.status_code, len(made.kafka.of("notify.requests.acme"))) == (202, 1)
    assert problem in answer.headers[WARNING]
    assert (await get(made, "/v1/messages?idempotency_key=k1")).status_code == 503
    for page in ("/healthz", "/readyz"):
        health = await made.http.get(made.internal + page)
        assert health.status_code == 200 and health.text.startswith("ok\ndegraded: ") and problem in health.text


async def test_without_a_database_a_request_is_taken_and_says_so(tmp_path: Path) -> None:
    async with reading(tmp_path, database_url("", tmp_path / "nowhere")) as made:
        await taken_with(made, "the read model cannot be read (OperationalError)")
        assert not (tmp_path / "nowhere").exists()


async def test_a_database_of_another_schema_is_not_read(url: sa.URL, engine: sa.Engine, tmp_path: Path) -> None:
    put(engine, state("acme", PERSON, "k1", EVENT))
    with engine.begin() as connection:
        connection.execute(read_models.update().values(schema_version=7))
    async with reading(tmp_path, url) as made:
        await taken_with(made, "schema version 7, this build knows 1")


async def test_a_database_that_is_gone_while_the_door_is_open_is_asked_once_and_again_when_it_is_back(
    url: sa.URL, engine: sa.Engine, tmp_path: Path
) -> None:
    put(engine, state("acme", PERSON, "k1", EVENT))
    async with reading(tmp_path, url, look_s=0.05) as made:
        with engine.begin() as connection:
            connection.execute(sa.text("ALTER TABLE heliograph_messages RENAME TO gone"))
        assert (await made.ask(EVENT, Idempotency_Key="k1")).status_code == 202
        with engine.begin() as connection:
            connection.execute(sa.text("ALTER TABLE gone RENAME TO heliograph_messages"))
        end = asyncio.get_running_loop().time() + 10
        while (await made.ask(EVENT, Idempotency_Key="k1")).status_code != 200:
            assert asyncio.get_running_loop().time() < end


async def test_a_slow_database_holds_no_request_up(tmp_path: Path) -> None:
    url, hold, held = database_url("", tmp_path / "rows"), threading.Event(), threading.Event()
    engine = open_engine(url, 0.25)
    put(engine, state("acme", PERSON, "k1", EVENT))
    model = ReadModel(engine, answer_s=0.1, look_s=60)

    async with door(tmp_path, read_model=model) as made:

        def slow(*_: object) -> None:
            held.set()
            hold.wait(20)

        sa.event.listen(engine, "before_cursor_execute", slow)
        try:
            await taken_with(made, "the read model cannot be read (TimeoutError)")
        finally:
            hold.set()
        assert held.is_set()
    engine.dispose()


@pytest.mark.parametrize("noted_ms", [0, 1])
async def test_a_model_that_is_behind_is_read_all_the_same_and_says_so(tmp_path: Path, noted_ms: int) -> None:
    engine = open_engine(url := database_url("", tmp_path / "rows"))
    put(engine, state("acme", PERSON, "k1", EVENT), caught_up=False)
    with engine.begin() as connection:
        connection.execute(read_models.update().values(caught_up_ms=noted_ms))
    async with reading(tmp_path, url) as made:
        known = await made.ask(EVENT, Idempotency_Key="k1")
        unknown = await get(made, "/v1/messages/" + "0" * 20 + "-" + "0" * 20)
    said = ["has not caught up yet", "is behind since 1970-01-01T00:00:00.000Z"][noted_ms]
    assert known.status_code == 200 and said in known.headers[WARNING]
    assert unknown.status_code == 404 and said in unknown.headers[WARNING]
    engine.dispose()


def test_p8_no_column_holds_a_number_a_text_or_an_idempotency_key(engine: sa.Engine) -> None:
    put(engine, state("acme", PERSON, f"sms to {PERSON}", EVENT))
    with engine.connect() as connection:
        [row] = connection.execute(sa.select(messages)).mappings()
    assert PERSON[2:] not in str(dict(row)) and "742" not in str(dict(row)) and "sms" not in str(dict(row))


async def test_a_row_that_cannot_be_read_keeps_no_request_from_being_taken_and_nobody_else_from_answers(
    url: sa.URL, engine: sa.Engine, tmp_path: Path
) -> None:
    odd, known = state("acme", PERSON, "k1", EVENT), state("acme", OTHER, "k2", EVENT)
    put(engine, odd, known)
    with engine.begin() as connection:
        connection.execute(
            sa.update(messages).where(messages.c.message_id == odd.message_id).values(attempts="{broken")
        )
    async with reading(tmp_path, url) as made:
        headers = {"Authorization": f"Bearer {ACME_KEY}", "Idempotency-Key": "k1"}
        assert (await made.http.post("/v1/messages", json=EVENT, headers=headers)).status_code == 202
        assert (await get(made, f"/v1/messages/{odd.message_id}")).status_code == 503
        assert (await get(made, f"/v1/messages/{known.message_id}")).status_code == 200
