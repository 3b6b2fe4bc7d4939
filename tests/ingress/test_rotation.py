"""An auth token is rotated under load: at the door, a real process told by SIGHUP, and in the client of the create call."""

import asyncio
import base64
import json
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest

from app.dev.broker import free_port
from app.dev.process import ChildProcess
from app.provider.http import Timeouts
from app.provider.provider_api import CreateAccepted, CreateRequest
from app.provider.twilio import TwilioProvider
from app.provider.webhooks import signature
from tests.support.engine_lab import until
from tests.support.ingress_server import ACME, MESSAGE, SID
from tests.support.scripted import RecordedCall, http, scripted

PUBLIC = "https://hooks.example.com/twilio/status"
TENANT = """
[tenants.acme]
account_sid = "{account}"
auth_tokens_file = "{tokens}"
status_callback_url = "{public}"
[tenants.acme.lanes.main]
from_number = "+15005550006"
"""


class Rotating:
    """`heliograph ingress` without a Kafka (its spool takes all), and a load of callbacks that `token` signs."""

    def __init__(self, path: Path) -> None:
        self.tokens, self.token = path / "tokens", "old"
        self.write("old")
        (path / "tenants.toml").write_text(TENANT.format(account=ACME, tokens=self.tokens, public=PUBLIC))
        env = {
            "PATH": os.environ["PATH"],
            "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{free_port()}",
            "HELIOGRAPH_CONFIG": str(path / "tenants.toml"),
            "HELIOGRAPH_SPOOL_DIR": str(path / "spool"),
            "HELIOGRAPH_PSEUDONYM_KEY": "11" * 32,
            "HELIOGRAPH_SEAL_KEYS": "k1:" + "22" * 32,
        }
        self.part = ChildProcess(
            "ingress", ["ingress", "--port", "0", "--internal-port", "0"], env, path / "ingress.log"
        )
        self.part.start()
        self.part.wait()
        self.statuses: Counter[int] = Counter()
        self._stop, self._load = threading.Event(), threading.Thread(target=self._run)

    def __enter__(self) -> "Rotating":
        self._load.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._load.join()
        self.part.stop()

    def write(self, tokens: str) -> None:
        self.tokens.write_text(tokens)

    def hang_up(self, said: str = "settings.read_again") -> None:
        """SIGHUP, and until it was heard."""
        before = self.log().count(said)
        os.kill(self.part.pid, signal.SIGHUP)
        until(lambda: self.log().count(said) > before)

    def log(self) -> str:
        return self.part.log.read_text()

    def post(self, client: httpx.Client, token: str) -> int:
        form = {"MessageSid": SID, "MessageStatus": "sent", "AccountSid": ACME}
        query = f"?m={MESSAGE}&a=1"
        headers = {
            "X-Twilio-Signature": signature(token, PUBLIC + query, list(form.items())),
            "Content-Type": "application/x-www-form-urlencoded",
        }
        url = f"{self.part.ready['ingress']}/twilio/status{query}"
        return client.post(url, content=urlencode(form), headers=headers).status_code

    def answered(self, more: int = 20) -> None:
        """Until so many more were answered."""
        enough = self.statuses.total() + more
        until(lambda: self.statuses.total() >= enough)

    def _run(self) -> None:
        with httpx.Client(timeout=20) as client:
            while not self._stop.is_set():
                self.statuses[self.post(client, self.token)] += 1


@pytest.fixture
def rotating(tmp_path: Path) -> Iterator[Rotating]:
    with Rotating(tmp_path) as made:
        yield made


@pytest.mark.parametrize("both", ["new\nold\n", "new,old", "new, old"])
def test_p4_a_rotation_under_load_refuses_no_webhook(rotating: Rotating, both: str) -> None:
    rotating.answered()
    rotating.write(both)  # the secondary token is there, and both are known
    rotating.hang_up()
    rotating.token = "new"  # it is promoted: Twilio signs with it
    rotating.answered()
    rotating.write("new")
    rotating.hang_up()
    rotating.answered()
    with httpx.Client() as client:
        assert rotating.post(client, "old") == 403
    assert set(rotating.statuses) == {204}


def test_a_file_that_cannot_be_read_again_leaves_what_was_and_says_so(rotating: Rotating) -> None:
    rotating.tokens.unlink()
    rotating.hang_up("settings.not_read_again")
    rotating.answered()
    assert set(rotating.statuses) == {204}
    assert "auth_tokens_file: No such file or directory" in rotating.log()


def test_a_file_read_while_it_is_written_leaves_what_was_and_says_so(rotating: Rotating) -> None:
    rotating.write("")
    rotating.hang_up("settings.not_read_again")
    rotating.answered()
    assert set(rotating.statuses) == {204}
    assert "tenant acme: auth_tokens: is required" in rotating.log()


CALL = CreateRequest(
    to="+14155550123", body="x", media=(), status_callback="", messaging_service_sid="", from_number="+15005550006",
    validity_s=60,
)  # fmt: skip


def _provider(url: str) -> TwilioProvider:
    return TwilioProvider(ACME, (ACME, "old"), url, Timeouts(5.0, 5.0, 5.0), 4)


async def test_p2_a_rotation_under_load_has_no_call_refused() -> None:
    """The new token logs in before it is promoted, as Twilio takes both until then."""
    good = {"old", "new"}

    def answer(seen: RecordedCall) -> bytes:
        given = base64.b64decode(seen.headers["authorization"].partition(" ")[2]).decode().partition(":")[2]
        if given not in good:
            return http(401, json.dumps({"code": 20003, "message": "no", "status": 401}))
        return http(201, json.dumps({"sid": "SM" + "a" * 32, "status": "queued", "num_segments": "1"}))

    async with scripted(answer) as server:
        provider, results, stop = _provider(server.url), [], asyncio.Event()

        async def load() -> None:
            while not stop.is_set():
                results.append(await provider.create(CALL, lambda: None))
                await asyncio.sleep(0)

        async def more(count: int = 20) -> None:
            enough = len(results) + count
            while len(results) < enough:
                await asyncio.sleep(0)

        tasks = [asyncio.create_task(load()) for _ in range(3)]
        await more()
        provider.log_in((ACME, "new"))
        await more()
        good.discard("old")
        await more()
        stop.set()
        await asyncio.gather(*tasks)
        await provider.close()
    assert {type(result) for result in results} == {CreateAccepted}
