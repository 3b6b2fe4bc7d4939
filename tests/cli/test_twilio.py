"""`heliograph twilio`: the account set up, checked and looked at, on the simulator over a real socket."""

import asyncio
import json
import os
import pwd
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner, Result

from app.cli.main import main
from app.cli.queries import reveal_audit
from app.dev.broker import free_port
from app.internal_server import InternalServer
from app.provider.account import account_reader
from app.provider.account.sdk_client import UnansweredCallError
from app.records.consent import NotifyTextsOpened
from tests.support.simulated import ACCOUNT, NUMBER, PERSON, SERVICE, TOKEN, RunningSimulator, eventually, simulating

FIRST, SECOND, THIRD = "+14155550100", "+14155550101", "+14155550102"
HEAD = """\
[tenants.acme]
account_sid = "{account}"
auth_tokens = ["{token}"]
api_base_url = "{url}"
status_callback_url = "https://hooks.example.com/twilio/acme/status"
inbound_url = "https://hooks.example.com/twilio/acme/inbound"
"""
FILE = f"""
[tenants.acme.lanes.main]
service = "main"
[tenants.acme.services.main]
numbers = ["{FIRST}"]
sticky_sender = false
validity_s = 600
[tenants.acme.numbers.hotline]
number = "{SECOND}"
fallback_url = "https://elsewhere.example.com/fallback"
"""
TEXTING = {
    "numbers": [{"phone_number": NUMBER}],
    "services": [{"friendly_name": "main", "sid": SERVICE, "numbers": [NUMBER]}],
}


class Account(NamedTuple):
    """A simulated account and a tenants file that leads to it."""

    simulated: RunningSimulator
    file: Path

    def declare(self, rest: str) -> None:
        self.file.write_text(HEAD.format(account=ACCOUNT, token=TOKEN, url=self.simulated.url) + rest)
        self.file.chmod(0o600)

    async def run(self, *words: str, said: str = "", code: int = 0) -> str:
        """What the command printed; fails if it ended otherwise than with `code`."""
        env = {"HELIOGRAPH_CONFIG": str(self.file)}
        done: Result = await asyncio.to_thread(CliRunner(env=env).invoke, main, ["twilio", *words], said)
        assert done.exit_code == code, done.output
        return done.output

    async def told(self, *words: str, code: int = 0) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (await self.run(*words, "--json", code=code)).splitlines()]

    async def held(self) -> dict[str, Any]:
        return await self.simulated.get("/_sim/account")


@asynccontextmanager
async def account(path: Path, rest: str = FILE, **seed: Any) -> AsyncIterator[Account]:
    async with simulating() as simulated:
        numbers = [{"phone_number": number} for number in (FIRST, SECOND, THIRD)]
        await simulated.post("/_sim/account", **{"numbers": numbers, **seed})
        made = Account(simulated, path / "tenants.toml")
        made.declare(rest)
        yield made


async def test_a_plan_shows_the_difference_field_by_field_and_changes_nothing(tmp_path: Path) -> None:
    async with account(tmp_path) as made:
        [told] = await made.told("plan")
        said = await made.run("plan")
        assert (await made.held())["changes"] == 0
    assert [(change["action"], change["where"]) for change in told["changes"]] == [
        ("create", "services.main"),
        ("alter", "numbers.hotline"),
        ("attach", "services.main"),
    ]
    assert {"field": "sticky_sender", "held": None, "wanted": False} in told["changes"][0]["edits"]
    assert "      sticky_sender: false\n" in said
    assert "sms_fallback_url: (not set) -> https://elsewhere.example.com/fallback#rc=5&rp=all" in said
    assert "+ attach acme.services.main •••0100 PN" in said and FIRST not in said and FIRST not in json.dumps(told)


async def test_what_is_applied_is_shown_first_and_not_done_again(tmp_path: Path) -> None:
    async with account(tmp_path) as made:
        said = await made.run("apply")
        held, again = await made.held(), await made.told("apply")
        changes = (await made.held())["changes"]
    [service] = held["services"].values()
    numbers = {number["phone_number"]: number for number in held["numbers"].values()}
    assert said.index("+ create acme.services.main") < said.index("put into the tenants file")
    assert f'[tenants.acme.services.main]\nsid = "{service["sid"]}"' in said
    assert service["numbers"] == [numbers[FIRST]["sid"]]
    assert (service["sticky_sender"], service["validity_period"], service["friendly_name"]) == (
        False,
        600,
        "heliograph acme main",
    )
    assert service["inbound_request_url"] == "https://hooks.example.com/twilio/acme/inbound#rc=5&rp=all"
    assert numbers[SECOND]["sms_fallback_url"] == "https://elsewhere.example.com/fallback#rc=5&rp=all"
    assert again == [
        {"changes": [], "refused": 0, "made": 0, "sids": {"tenants.acme.services.main.sid": service["sid"]}}
    ]
    assert changes == held["changes"] == 3


async def test_what_was_made_before_a_refusal_is_told_beside_the_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(*_: object) -> None:
        raise UnansweredCallError("http 409", 409, 21710)

    monkeypatch.setattr(account_reader, "attach", refused)
    async with account(tmp_path) as made:
        env = {"HELIOGRAPH_CONFIG": str(made.file)}
        done = await asyncio.to_thread(CliRunner(env=env).invoke, main, ["twilio", "apply", "--json"])
        [service] = (await made.held())["services"].values()
    assert (done.exit_code, done.stdout) == (1, "")
    assert "2 changes were made" in done.stderr and f'sid = "{service["sid"]}"' in done.stderr


async def test_a_service_that_has_its_sid_in_the_file_keeps_its_name_and_what_is_not_named(tmp_path: Path) -> None:
    seed = {"friendly_name": "old", "sid": SERVICE, "numbers": [FIRST], "mms_converter": False}
    async with account(
        tmp_path, FILE.replace("numbers = [", f'sid = "{SERVICE}"\nnumbers = ['), services=[seed]
    ) as made:
        await made.run("apply")
        [service] = (await made.held())["services"].values()
    assert (service["friendly_name"], service["mms_converter"], service["sticky_sender"]) == ("old", False, False)


async def test_without_prune_a_number_stays_and_with_it_the_operator_is_asked(tmp_path: Path) -> None:
    seed = {"friendly_name": "heliograph acme main", "sid": SERVICE, "numbers": [FIRST, THIRD]}
    async with account(tmp_path, services=[seed]) as made:
        assert "•••0102" in (said := await made.run("apply"))
        assert ": is not declared; stays without --prune" in said

        async def attached() -> int:
            return len((await made.held())["services"][SERVICE]["numbers"])

        assert await attached() == 2
        asked = await made.run("apply", "--prune", said="n\n", code=1)
        assert "Take 1 number out of its service?" in asked and "Aborted" in asked and await attached() == 2
        await made.run("apply", "--prune", said="y\n")
        assert await attached() == 1
        assert "as declared" in await made.run("plan", "--prune")


async def test_a_number_of_another_service_is_moved_only_with_prune(tmp_path: Path) -> None:
    async with account(tmp_path, services=[{"friendly_name": "other", "sid": SERVICE, "numbers": [FIRST]}]) as made:
        refused = await made.run("apply", code=1)
        assert f"is in service {SERVICE}" in refused and (await made.held())["changes"] == 0
        await made.run("apply", "--prune", "--yes")
        services = {
            service["friendly_name"]: service["numbers"] for service in (await made.held())["services"].values()
        }
    assert services["other"] == [] and len(services["heliograph acme main"]) == 1


async def test_a_number_that_the_account_does_not_have_stops_everything(tmp_path: Path) -> None:
    async with account(tmp_path, FILE.replace(SECOND, "+14155550199")) as made:
        [told] = await made.told("apply", code=1)
        assert (await made.held())["changes"] == 0
    assert told["refused"] == 1 and told["changes"][0]["where"] == "numbers.hotline"


async def test_findings_are_told_with_what_to_do_and_end_with_1(tmp_path: Path) -> None:
    async with account(tmp_path) as made:
        await made.run("apply")
        said, told = await made.run("check", code=1), await made.told("check", code=1)
    assert [finding["name"] for finding in told] == ["service_not_made", "campaign_missing"]
    assert set(told[0]) == {"name", "tenant", "where", "problem", "todo"} and told[1]["todo"] in said
    assert "!  campaign_missing  tenant acme: services.main (MG" in said


async def test_nothing_found_ends_with_0(tmp_path: Path) -> None:
    async with account(tmp_path, FILE.replace(FIRST, "+18005550100"), **toll_free()) as made:
        [sid] = (await made.told("apply"))[0]["sids"].values()
        made.declare(FILE.replace("numbers = [", f'sid = "{sid}"\nnumbers = [').replace(FIRST, "+18005550100"))
        assert await made.run("check") == "nothing found\n" and await made.told("check") == []


async def test_a_tenants_file_that_others_may_read_is_found_by_twilio_check_too(tmp_path: Path) -> None:
    async with account(tmp_path, FILE.replace(FIRST, "+18005550100"), **toll_free()) as made:
        await made.run("apply")
        made.file.chmod(0o640)
        told = await made.told("check", code=1)
    assert [(finding["name"], finding["tenant"], finding["where"]) for finding in told][:1] == [
        ("secret_readable", "", "HELIOGRAPH_CONFIG")
    ]


def toll_free() -> dict[str, Any]:
    numbers = [{"phone_number": number} for number in ("+18005550100", SECOND)]
    return {"numbers": numbers, "verifications": [{"number": "+18005550100"}]}


async def test_services_and_numbers_are_listed_and_shown_masked_unless_revealed(tmp_path: Path) -> None:
    async with account(tmp_path) as made:
        await made.run("apply")
        [service], numbers = await made.told("services", "list"), await made.told("numbers", "list")
        [shown] = await made.told("services", "show", service["sid"])
        [number] = await made.told("numbers", "show", FIRST)
        [revealed] = await made.told("numbers", "show", numbers[0]["sid"], "--reveal")
        plain = [await made.run(*w.split()) for w in ("services list", "numbers list", f"numbers show {FIRST}")]
        absent = await made.run("numbers", "show", "+14155550199", code=1)
    assert f"{service['sid']}  1 number  heliograph acme main" in plain[0]
    assert service["numbers"] == [numbers[0]["sid"]] and shown["campaigns"] == [] and shown["other_senders"] == 0
    assert (number["phone_number"], revealed["phone_number"]) == ("•••0100", FIRST)
    assert len(numbers) == 3 and FIRST not in "".join(plain) + json.dumps([service, numbers, shown, number])
    assert "no such number in this account" in absent


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[NotifyTextsOpened]:
    """What is put on notify.consent, of which there is none here."""
    records: list[NotifyTextsOpened] = []

    async def put(_settings: object, record: NotifyTextsOpened, *_more: str) -> None:
        records.append(record)

    monkeypatch.setattr(reveal_audit, "_put", put)
    return records


async def test_texts_that_are_revealed_are_recorded_first_and_act_on_no_terminal(
    tmp_path: Path, kept: list[NotifyTextsOpened]
) -> None:
    hostile = "\x1b[2JHi\r\nbody         forged\u202e"
    async with account(tmp_path, **TEXTING) as made:
        sid = (await made.simulated.create(body=hostile)).sid
        said = await made.run("messages", "fetch", sid, "--reveal", "--by", "ada")
        await made.run("messages", "list", "--reveal", "--by", "bob")
        masked = [await made.run("messages", *words) for words in (("fetch", sid), ("list",))]
        raw = await made.run("messages", "fetch", sid, "--reveal", "--raw")
    assert [(one.by, one.message_sid, one.tenant) for one in kept[:2]] == [("ada", sid, "acme"), ("bob", "", "acme")]
    assert kept[0].os_user == pwd.getpwuid(os.getuid()).pw_name and len(kept) == 3 and len(masked) == 2
    assert "\\x1b[2JHi\\r\\nbody         forged\\u202e" in said and "\x1b" not in said
    assert "forged\u202e" in raw


async def test_without_a_kafka_that_keeps_who_did_it_nothing_is_revealed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", f"127.0.0.1:{free_port()}")
    async with account(tmp_path, **TEXTING) as made:
        sid = (await made.simulated.create(body="secret")).sid
        for words in (("fetch", sid), ("list",)):
            said = await made.run("messages", *words, "--reveal", code=1)
            assert "error: no Kafka at 127.0.0.1:" in said and "secret" not in said


async def test_texts_are_listed_page_by_page_and_shown_masked_unless_revealed(
    tmp_path: Path, kept: list[NotifyTextsOpened]
) -> None:
    async with account(tmp_path, **TEXTING) as made:
        sids = [(await made.simulated.create(body=f"secret {n}")).sid for n in range(5)]
        await eventually(lambda: made.simulated.hook.statuses.count("delivered") == 5)
        told = await made.told("messages", "list", "--limit", "3")
        assert await made.told("messages", "list", "--until", "1h") == []
        everything = await made.told("messages", "list", "--all", "--to", PERSON, "--since", "1h")
        [masked], [revealed] = (
            await made.told("messages", "fetch", sids[0]),
            await made.told("messages", "fetch", sids[0], "--reveal"),
        )
        plain = await made.run("messages", "list")
        assert await made.told("messages", "list", "--to", "+14155550199") == []
    assert [text["sid"] for text in told] == sids[::-1][:3] and len(everything) == 5
    assert (masked["to"], masked["body"]) == ("•••0123", "•••")
    assert (revealed["to"], revealed["body"]) == (PERSON, "secret 0")
    assert PERSON not in plain + json.dumps(told) and "secret" not in plain + json.dumps(told)


async def test_a_text_is_emptied_only_after_a_yes(tmp_path: Path, kept: list[NotifyTextsOpened]) -> None:
    async with account(tmp_path, **TEXTING) as made:
        sid = (await made.simulated.create(body="secret")).sid
        asked = await made.run("messages", "redact", sid, said="n\n", code=1)
        assert "Empty 1 text at Twilio, of tenant acme?" in asked and "Aborted" in asked
        assert (await made.told("messages", "fetch", sid, "--reveal"))[0]["body"] == "secret"
        assert await made.told("messages", "redact", sid, "--yes") == [{"redacted": sid}]
        assert (await made.told("messages", "fetch", sid, "--reveal"))[0]["body"] == ""


async def test_a_text_that_is_not_there_is_named_and_keeps_no_other_from_being_emptied(tmp_path: Path) -> None:
    async with account(tmp_path, **TEXTING) as made:
        first, last = [(await made.simulated.create(body="secret")).sid for _ in range(2)]
        gone = "SM" + "f" * 32
        env = {"HELIOGRAPH_CONFIG": str(made.file)}
        words = ["twilio", "messages", "redact", first, gone, last, "--yes", "--json"]
        done = await asyncio.to_thread(CliRunner(env=env).invoke, main, words)
    assert [json.loads(line) for line in done.stdout.splitlines()] == [{"redacted": first}, {"redacted": last}]
    assert done.stderr == f"error: {gone}: Twilio: http 404 (20404): heliograph errors 20404\n"
    assert done.exit_code == 1


async def test_a_scheduled_text_is_withdrawn_and_then_no_more(tmp_path: Path) -> None:
    later = {"schedule_type": "fixed", "send_at": datetime.now(UTC) + timedelta(hours=1)}
    async with account(tmp_path, **TEXTING) as made:
        sid = (await made.simulated.create(messaging_service_sid=SERVICE, **later)).sid
        assert (await made.told("messages", "cancel", sid))[0]["status"] == "canceled"
        assert "heliograph errors 30409" in await made.run("messages", "cancel", sid, code=1)


async def test_texts_are_deleted_only_after_a_yes(tmp_path: Path) -> None:
    deleted, sids, absent = [], [f"SM{n:032}" for n in range(2)], "SM" + "f" * 32

    async def stub(scope: Any, _receive: Any, send: Any) -> None:
        deleted.append((scope["method"], scope["path"]))
        await send({"type": "http.response.start", "status": 404 if absent in scope["path"] else 204})
        await send({"type": "http.response.body"})

    served = InternalServer(stub, "127.0.0.1", 0)
    await served.listening()
    async with account(tmp_path) as made:
        made.file.write_text(made.file.read_text().replace(made.simulated.url, served.url))
        asked = await made.run("messages", "delete", *sids, said="n\n", code=1)
        assert "Delete 2 texts at Twilio, of tenant acme?" in asked and deleted == []
        assert await made.told("messages", "delete", *sids, "--yes") == [{"deleted": sid} for sid in sids]
        said = await made.run("messages", "delete", absent, sids[0], "--yes", code=1)
        assert said == f"error: {absent}: Twilio: http 404\ndeleted {sids[0]}\n"
        del deleted[2:]
    await served.stop()
    assert deleted == [("DELETE", f"/2010-04-01/Accounts/{ACCOUNT}/Messages/{sid}.json") for sid in sids]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["messages", "fetch", "SM" + "f" * 32], "error: Twilio: http 404 (20404): heliograph errors 20404"),
        (["services", "show", "MG" + "f" * 32], "error: Twilio: http 404 (20404): heliograph errors 20404"),
    ],
)
async def test_what_twilio_refuses_is_told_by_its_code(words: list[str], told: str, tmp_path: Path) -> None:
    async with account(tmp_path) as made:
        assert told in await made.run(*words, code=1)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["messages", "fetch", "XX1"], "must be SM or MM and 32 hex digits"),
        (["messages", "list", "--to", "4155550123"], "must be a number in E.164"),
        (["services", "show", "MG1"], "must be MG and 32 hex digits"),
        (["numbers", "show", "4155550123"], "must be a number in E.164"),
        (["check", "--tenant", "beta"], "--tenant: there is no tenant beta: one of acme"),
    ],
)
async def test_what_makes_no_sense_is_wrong_usage(words: list[str], told: str, tmp_path: Path) -> None:
    async with account(tmp_path) as made:
        assert told in await made.run(*words, code=2)


async def test_p7_of_several_tenants_one_must_be_named(tmp_path: Path) -> None:
    async with account(tmp_path) as made:
        both = made.file.read_text() + made.file.read_text().replace("tenants.acme", "tenants.beta")
        made.file.write_text(both)
        assert "--tenant: is required, one of acme, beta" in await made.run("numbers", "list", code=2)
        [told] = await made.told("plan", "--tenant", "beta")
        assert {change["tenant"] for change in told["changes"]} == {"beta"}
        [told] = await made.told("plan")
        assert {change["tenant"] for change in told["changes"]} == {"acme", "beta"}


async def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    async with account(tmp_path) as made:
        made.file.write_text(made.file.read_text().replace(made.simulated.url, "http://127.0.0.1:1"))
        said = await made.run("plan", code=1)
    assert said == "error: Twilio: ClientConnectorError: http://127.0.0.1:1 was asked\n"


async def test_an_account_without_credentials_is_not_asked(tmp_path: Path) -> None:
    async with account(tmp_path) as made:
        made.file.write_text(made.file.read_text().replace(f'auth_tokens = ["{TOKEN}"]', ""))
        assert "tenant acme: auth_tokens: is required" in await made.run("check", code=2)
        assert (await made.held())["asked"] == 0
