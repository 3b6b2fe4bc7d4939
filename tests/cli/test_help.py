"""Every command says what it does, shows an example that works, and reads aloud to programs too."""

import re
from pathlib import Path

import click
import pytest

from app.config.environment import TOLERATED
from app.config.reference import settings_example
from app.config.settings import FIELDS, Settings
from tests.support.words import code, fault, leaves, told

ROOT = Path(__file__).parents[2]
LEAVES = dict(leaves())
# What they print is a document, or Kafka's own to choose.
DOCUMENTS = {"config example", "config table", "kafka console-producer", "kafka console-consumer"}


@pytest.mark.parametrize("words", LEAVES)
def test_a_command_says_what_it_does_and_shows_an_example_that_click_takes(words: str) -> None:
    said, _, shown = (LEAVES[words].help or "").partition("Example")
    examples = [line for line in told(shown) if " ".join(line).startswith(words)]
    assert said and (examples or "./ops/demo" in shown)
    assert [(line, fault(line)) for line in told(shown) if fault(line)] == []


@pytest.mark.parametrize("words", LEAVES)
def test_an_option_says_what_it_is_for_unless_its_name_does(words: str) -> None:
    plain = {"to", "tenant", "campaign", "seed", "messages", "workers", "port", "host", "faults", "account"}
    options = [option for option in LEAVES[words].params if isinstance(option, click.Option)]
    assert [option.name for option in options if not option.help and option.name not in plain] == []


@pytest.mark.parametrize("words", sorted(set(LEAVES) - DOCUMENTS))
def test_what_a_command_says_can_be_read_by_a_program(words: str) -> None:
    assert "--json" in [name for option in LEAVES[words].params for name in option.opts]


GUIDE = sorted(str(page.relative_to(ROOT)) for page in (ROOT / "ops" / "guide").glob("*.md"))


@pytest.mark.parametrize("page", ["README.md", "app/README.md", "CONTRIBUTING.md", *GUIDE])
def test_the_commands_of_a_page_exist(page: str) -> None:
    assert [(line, fault(line)) for line in told(code((ROOT / page).read_text())) if fault(line)] == []


def test_the_reader_of_pages_notices_what_does_not_exist() -> None:
    page = "text heliograph nonsense\n\n    X=1 heliograph worker --fast | heliograph guess\n"
    assert [fault(line) for line in told(code(page))] == ["No such option: --fast", "No such command 'guess'."]


def test_the_example_of_settings_is_what_the_settings_say() -> None:
    assert (ROOT / ".env.example").read_text() == settings_example() + "\n"


def test_the_example_names_every_setting_once_and_nothing_else() -> None:
    names = re.findall(r"^(?:# )?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
    wanted = [name for field in FIELDS for name in (field.env, *([f"{field.env}_FILE"] if field.secret else []))]
    assert names == wanted and not TOLERATED & set(names)


def test_the_example_copied_as_it_is_changes_nothing_and_holds_no_secret() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    given = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert set(given.values()) == {""} and Settings.read(given) == Settings.read({})
