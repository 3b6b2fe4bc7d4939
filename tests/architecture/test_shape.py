"""The project held to its own shape."""

import ast
import re
import statistics
import subprocess
from pathlib import Path

import pytest
import yaml

from app.config.reference import settings_table

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "app").rglob("*.py"))
TRACKED = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def functions() -> list[tuple[str, int]]:
    found = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, FUNCTIONS):
                found.append((f"{path.name}:{node.name}", (node.end_lineno or 0) - node.lineno + 1))
    return found


def test_no_function_is_longer_than_forty_lines():
    assert [row for row in functions() if row[1] > 40] == []


def test_half_of_the_functions_are_short():
    assert statistics.median(length for _, length in functions()) <= 7


def test_no_file_is_longer_than_three_hundred_lines():
    assert [p.name for p in SOURCES if len(p.read_text().splitlines()) > 300] == []


def test_every_module_says_what_it_owns():
    assert [str(p) for p in SOURCES if not ast.get_docstring(ast.parse(p.read_text()))] == []


def test_no_module_has_a_name_that_says_nothing():
    assert [p.stem for p in SOURCES if p.stem in {"utils", "helpers", "common", "base", "misc"}] == []


def test_the_readme_holds_every_setting():
    assert settings_table() in (ROOT / "README.md").read_text()


def test_every_topic_says_its_purpose_writers_and_readers():
    topics = yaml.safe_load((ROOT / "schemas" / "topics.yaml").read_text())["topics"]
    assert [t["name"] for t in topics if not (t["purpose"] and t["writers"] and t["readers"])] == []
    assert len({t["name"] for t in topics}) == len(topics)


def test_lock_files_carry_hashes_and_no_addresses():
    for lock in (ROOT / "ops" / "locks").glob("*.lock"):
        text = lock.read_text()
        assert "://" not in text and text.count("--hash=sha256:") > 50


def test_only_the_known_things_stand_at_the_top():
    allowed = {"app", "schemas", "tests", "ops", ".ci", ".gitignore", "pyproject.toml", "README.md", "LICENSE",
               "CHANGELOG.md", "CONTRIBUTING.md", "docker-compose.yml", ".env.example"}  # fmt: skip
    assert {name.split("/")[0] for name in TRACKED} <= allowed


@pytest.mark.parametrize("name", [n for n in TRACKED if n.endswith((".py", ".md", ".yaml", ".yml", ".toml", ".json"))])
def test_no_tracked_text_holds_a_real_number_or_a_machines_path(name):
    text = (ROOT / name).read_text() if (ROOT / name).exists() else ""
    numbers = re.findall(r"\+1[2-9]\d{9}\b", text)
    assert [n for n in numbers if n[5:10] != "55501" and not n.startswith("+1500555000")] == []
    assert not re.search(r"/(root|home)/\w", text)
