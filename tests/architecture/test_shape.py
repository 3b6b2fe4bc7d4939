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
GUIDE = sorted((ROOT / "ops" / "guide").glob("*.md"))
# Names of a private dialect, each of which has a standard word today: see the glossary in app/README.md.
RETIRED = {
    "again",
    "bars",
    "book",
    "case",
    "circuits",
    "difference",
    "ending",
    "exits",
    "fit",
    "fits",
    "gate",
    "happen",
    "heads",
    "inbox",
    "held",
    "hooks",
    "judge",
    "judging",
    "learn",
    "letters",
    "line",
    "lines",
    "listed",
    "listing",
    "lister",
    "looks",
    "mistakes",
    "moved",
    "notices",
    "opened",
    "pace",
    "pages",
    "parked",
    "parts",
    "place",
    "points",
    "proof",
    "recalls",
    "rests",
    "scope",
    "shelf",
    "shown",
    "sight",
    "stand",
    "stamps",
    "surroundings",
    "told",
    "verdicts",
    "wanted",
    "who",
    "whose",
    "words",
    "written",
}
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


def test_the_guide_holds_every_setting():
    assert settings_table() in (ROOT / "ops" / "guide" / "settings.md").read_text()


def test_the_readme_is_one_that_is_read():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


@pytest.mark.parametrize(
    "page", ["README.md", "app/README.md", "CONTRIBUTING.md", *[f"ops/guide/{p.name}" for p in GUIDE]]
)
def test_every_path_that_a_page_names_exists(page: str):
    text = (ROOT / page).read_text()
    named = set(re.findall(r"`((?:[\w.-]+/)*[\w-]+\.(?:py|md|yaml|json|toml|conf))`", text))
    named |= set(re.findall(r"\]\(([^)]+\.md)\)", text))
    roots = (ROOT, ROOT / "app", (ROOT / page).parent)
    paths = {name for name in named if "/" in name and not name.startswith("run/")}
    # A bare name stands for a file of the package that its row names; what a program writes is not tracked.
    bare = {name for name in named if "/" not in name and name.endswith((".py", ".md"))}
    missing = [name for name in paths if not any((root / name).exists() for root in roots)]
    assert missing + sorted(bare - {Path(tracked).name for tracked in TRACKED}) == []


def classes() -> list[tuple[str, Path, list[str]]]:
    found = []
    for path in SOURCES:
        nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef)]
        found += [(node.name, path, [ast.unparse(base) for base in node.bases]) for node in nodes]
    return found


def test_a_class_name_stands_in_one_module_only():
    modules: dict[str, set[Path]] = {}
    for name, path, _ in classes():
        modules.setdefault(name, set()).add(path)
    assert {name: paths for name, paths in modules.items() if len(paths) > 1} == {}


def test_an_exception_ends_in_error_and_has_the_one_base():
    """The simulator stands apart: it shares no code with the rest."""
    bases = {name: given for name, _, given in classes()}

    def ancestors(name: str) -> set[str]:
        return {name}.union(*(ancestors(base) for base in bases.get(name, [])))

    raised = [
        (name, path) for name, path, _ in classes() if ancestors(name) & {"Exception", "ValueError", "LookupError"}
    ]
    assert len(raised) > 25
    assert [name for name, _ in raised if not name.endswith("Error")] == []
    ours = [name for name, path in raised if "simulator" not in path.parts]
    assert [name for name in ours if "HeliographError" not in ancestors(name)] == []


def test_no_module_has_a_retired_name():
    assert [str(path.relative_to(ROOT)) for path in SOURCES if path.stem in RETIRED] == []


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


def test_a_docstring_says_more_than_its_name():
    documented = (*FUNCTIONS, ast.ClassDef, ast.Module)
    said = [
        (path.name, ast.get_docstring(node) or "")
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, documented)
    ]
    assert [(name, text) for name, text in said if text and (len(text.split()) < 4 or text.startswith("See "))] == []
