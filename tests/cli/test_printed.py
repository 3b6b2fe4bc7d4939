"""All that commands print passes one place, and nothing in it acts on a terminal or forges a line."""

import ast
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from app.cli.commands.explain import _lines
from app.cli.output import escaped, json_line, raw, say, say_json
from app.cli.send.answer_matching import AnswerMatcher, awaited
from app.cli.send.file import FileLine, asked
from app.cli.send.wait import show
from tests.support.commands import KEYS, heliograph

ROOT = Path(__file__).parents[2]
HOSTILE = "\x1b[2J\x9b31m\x07Hi\r\nnow  delivered\u202egnp.\u2028\u2066\x7f\x00\U000e0041"
HARMFUL = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029\U000e0000-\U000e007f]")
WRITERS = {"click.echo", "print", "sys.stdout.write", "sys.stderr.write", "click.secho", "click.echo_via_pager"}


@click.command("hostile")
@raw
@click.option("--json", "as_json", is_flag=True)
def hostile(as_json: bool) -> None:
    say_json({"a": HOSTILE}) if as_json else say(HOSTILE)


def test_a_text_is_one_line_without_effect_unless_raw_is_asked_for() -> None:
    printed, as_it_is = (CliRunner().invoke(hostile, words).stdout_bytes.decode() for words in ([], ["--raw"]))
    assert HARMFUL.search(printed.removesuffix("\n")) is None and printed.count("\n") == 1
    assert printed.startswith("\\x1b[2J\\x9b31m\\x07Hi\\r\\nnow  delivered\\u202egnp.")
    assert as_it_is == HOSTILE + "\n"


def test_json_says_the_same_without_effect() -> None:
    printed = CliRunner().invoke(hostile, ["--json", "--raw"]).output
    assert HARMFUL.search(printed.removesuffix("\n")) is None and json.loads(printed) == {"a": HOSTILE}


@given(st.text(st.characters(categories=None)))
def test_whatever_is_printed_is_seen_as_itself_or_escaped(text: str) -> None:
    assert HARMFUL.search(escaped(text)) is None and "\n" not in escaped(text)
    escaped(text).encode()


@given(st.text())
def test_json_reads_back_whatever_it_holds(text: str) -> None:
    assert json.loads(json_line({"a": text})) == {"a": text} and HARMFUL.search(json_line([text])) is None


@pytest.mark.parametrize(
    "text",
    [
        "h\u00e9llo \u2713",
        "\u5de5\u4f5c",
        "\U0001f469\u200d\U0001f4bb",
        "a\u00a0b",
        "\u0646\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
    ],
)
def test_ordinary_text_of_any_language_is_printed_as_it_is(text: str) -> None:
    assert escaped(text) == text and json_line(text) == f'"{text}"'


def calls(path: Path) -> set[str]:
    return {ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)}


def test_no_command_prints_past_the_one_place() -> None:
    package = ROOT / "app" / "cli"
    modules = [path for path in package.rglob("*.py") if path != package / "output.py"]
    assert len(modules) > 50
    assert [(path.name, found) for path in modules if (found := calls(path) & WRITERS)] == []
    # rich lays out tables and progress: of numbers and words of ours in the demo, of escaped text in `send --wait`.
    rich = {str(path.relative_to(package)) for path in modules if "rich" in path.read_text()}
    assert rich == {"commands/demo.py", "send/command.py", "send/wait.py"}


def outcome(**told: Any) -> dict[str, Any]:
    base = {
        "message_id": "m1",
        "tenant": "default",
        "idempotency_key": "k",
        "recipient": {"masked": "\u2022\u2022\u20220123"},
    }
    return {**base, "outcome": "rejected", "reason": "reported", **told}


def test_a_table_of_outcomes_holds_no_more_than_its_text(capsys: pytest.CaptureFixture[str]) -> None:
    event = {"type": "notify.requested.v1", "to": "+14155550123", "body": "Hi.", "idempotency_key": "k", "id": "e1"}
    messages = awaited(asked([FileLine(2, event)]))
    matching, told = AnswerMatcher(messages), outcome(reason=f"[red]{HOSTILE}")
    answer = {"event": "opened", "request_id": "e1", "masked": told["recipient"]["masked"]}
    assert not matching.answer({**told, **answer}) and matching.take(told)
    show(messages, as_json=False)
    said = capsys.readouterr().out
    assert HARMFUL.search(said.replace("\n", "")) is None and "[red]" in said and "\\x1b" in said


def test_steps_of_a_message_are_lines_of_their_own() -> None:
    step = {"at": "now", "input": "contact.requested.v1", "given": {"campaign": HOSTILE}, "decided": [], "effects": []}
    assert [escaped(line).count("\n") for line in _lines(step)] == [0]


def test_a_principal_with_blanks_is_one_argument_of_what_prints_rights() -> None:
    principal = "User:CN=heliograph ingress,O='Example'; id"
    printed = heliograph("topics", "rights", "ingress", "--principal", principal, **KEYS).stdout
    asked = ["xargs", "-L1", "printf", "%s\\n---\\n"]
    words = subprocess.run(asked, input=printed, capture_output=True, text=True, check=True).stdout.split("\n---\n")
    assert words.count(principal) == words.count("--allow-principal") == len(printed.splitlines())
