"""The simulator's page: every example on it is run against the command, over a real socket, and answers as it says."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from app.internal_server import InternalServer
from app.simulator.recipient import FROM_ERRORS, TO_ERRORS, VALID_FROM
from app.simulator.scripts import RESERVED
from tests.support.simulated import WebhookReceiver, eventually

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "app" / "simulator" / "README.md").read_text()
EXAMPLES = re.findall(r"^(curl(?:[^\n]|\\\n)*)\n# → (.*)$", PAGE, re.MULTILINE)
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
ACCOUNT = "AC" + "0" * 32


@pytest.fixture
def url() -> Iterator[str]:
    command = [sys.executable, "-m", "app", "simulator", "--port", "0", "--json"]
    process = subprocess.Popen(command, cwd=ROOT, env={}, stdout=subprocess.PIPE)
    try:
        yield msgspec.json.decode(process.stdout.readline())["simulator"]
    finally:
        process.terminate()
        process.communicate(timeout=10)


async def run(*command: str, **env: str) -> tuple[int, str]:
    path = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    process = await asyncio.create_subprocess_exec(
        *command, env={**path, **env}, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    said, _ = await process.communicate()
    return process.returncode, said.decode()


@pytest.mark.skipif(not shutil.which("curl") or not shutil.which("bash"), reason="the examples are for bash and curl")
async def test_every_curl_example_answers_as_the_page_says(url):
    hook = WebhookReceiver()
    served = InternalServer(hook, "127.0.0.1", 0)
    await served.listening()
    sid, wrong = "", []
    for command, expected in EXAMPLES:
        _, said = await run("bash", "-c", command, T=url, A=ACCOUNT, H=served.url, SID=sid)
        if expected not in said:
            wrong.append((command, expected, said))
        if command.count("/Messages.json") and (made := re.search(r'^{"account_sid".*"sid":"([SM]M\w{32})"', said)):
            sid = made[1]
    assert wrong == []
    assert len(EXAMPLES) == PAGE.count("\ncurl ")
    await eventually(lambda: {post.path.partition("?")[0] for post in hook.posted} == {"/status", "/inbound"})
    await served.stop()


async def test_every_python_example_runs(url):
    assert len(SNIPPETS) == 2
    for snippet in SNIPPETS:
        code, said = await run(sys.executable, "-c", snippet.replace("http://127.0.0.1:4010", url))
        assert (code, said) == (0, "")


def test_the_table_holds_every_number_that_misbehaves_and_what_it_does():
    rows = dict(re.findall(r"^\| (\+1\d+) \| (.*) \|$", PAGE, re.MULTILINE))
    assert rows.keys() == RESERVED.keys()
    for number, script in RESERVED.items():
        said = {script.end, script.media_end, *script.faults, str(script.refusal or ""), script.says, script.line} - {
            ""
        }
        plain = said == {"delivered"} or said - {"delivered"}
        assert [word for word in (said if plain is True else plain) if word not in rows[number]] == []
        assert bool(script.times) == ("first" in rows[number])


def test_the_page_holds_twilios_magic_numbers():
    told = {**TO_ERRORS, **FROM_ERRORS, VALID_FROM: (0, "")}
    assert [number for number, (code, _) in told.items() if number not in PAGE or str(code or "") not in PAGE] == []
