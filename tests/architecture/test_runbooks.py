"""Runbooks and decisions: every command exists, every setting and event named is real, each page is short."""

import re
from pathlib import Path

import pytest
import yaml

from app.config.settings import FIELDS
from tests.support.words import code, fault, told

ROOT = Path(__file__).parents[2]
RUNBOOKS = sorted((ROOT / "ops" / "runbooks").glob("*.md"))
DECISIONS = sorted((ROOT / "ops" / "decisions").glob("*.md"))
SOURCES = "\n".join(path.read_text() for path in (ROOT / "app").rglob("*.py"))
by_name = {"ids": lambda path: path.stem}


@pytest.mark.parametrize("page", RUNBOOKS, **by_name)
def test_a_runbook_says_what_it_means_how_to_look_and_how_to_mend_in_one_screen(page: Path) -> None:
    text = page.read_text()
    assert text.startswith("# ") and "**It means**" in text and len(text.splitlines()) <= 50
    assert told(code(text)), "it has no command to begin with"


@pytest.mark.parametrize("page", RUNBOOKS, **by_name)
def test_every_command_of_a_runbook_exists(page: Path) -> None:
    lines = told(code(page.read_text())) + [
        words for line in re.findall(r"`([^`]+)`", page.read_text()) for words in told(line)
    ]
    assert [(line, fault(line)) for line in lines if fault(line)] == []


@pytest.mark.parametrize("page", RUNBOOKS + DECISIONS, **by_name)
def test_every_setting_that_a_page_names_exists(page: Path) -> None:
    named = set(re.findall(r"\b(?:HELIOGRAPH|KAFKA|TWILIO)_[A-Z_]+\b", page.read_text()))
    assert named <= {field.env for field in FIELDS}


@pytest.mark.parametrize("page", RUNBOOKS, **by_name)
def test_every_log_event_that_a_runbook_quotes_is_logged(page: Path) -> None:
    quoted = set(re.findall(r"`((?:process|kafka|spool|call|contact)\.[a-z_]+)`", page.read_text()))
    quoted |= set(re.findall(r'"event":"([a-z_.]+)"', page.read_text()))
    assert {event for event in quoted if f'"{event}"' not in SOURCES} == set()


@pytest.mark.parametrize("page", RUNBOOKS, **by_name)
def test_a_page_that_a_runbook_sends_to_is_there(page: Path) -> None:
    assert [
        name for name in re.findall(r"\b[a-z0-9-]+\.md\b", page.read_text()) if not (page.parent / name).exists()
    ] == []


def test_decisions_are_numbered_dated_and_short() -> None:
    assert [int(page.name[:4]) for page in DECISIONS] == list(range(1, len(DECISIONS) + 1))
    for page in DECISIONS:
        text = page.read_text()
        assert text.startswith(f"# {int(page.name[:4])}. ") and "\n2026-11, decided.\n" in text
        assert len(text.splitlines()) < 60 and all(f"**{part}.**" in text for part in ("Context", "Choice", "Cost"))


def test_the_readme_leads_to_both() -> None:
    text = (ROOT / "README.md").read_text()
    assert "ops/runbooks" in text and "ops/decisions" in text
    assert [page.name for page in RUNBOOKS if page.name not in (ROOT / "ops" / "README.md").read_text()] == []


def test_every_alert_leads_to_a_runbook_that_is_there() -> None:
    groups = yaml.safe_load((ROOT / "ops" / "prometheus" / "rules.yml").read_text())["groups"]
    told = {rule["alert"]: rule["annotations"].get("runbook", "") for group in groups for rule in group["rules"]}
    assert [alert for alert, page in told.items() if ROOT / page not in RUNBOOKS] == []
    assert {page.stem for page in RUNBOOKS} - {Path(page).stem for page in told.values()} == {
        "worker-exits-78",
        "topics-replaced",
    }
