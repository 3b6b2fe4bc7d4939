"""The state diagram in `app/README.md`, drawn from the transition table.

After a change of the table: `python -m tests.support.lifecycle_diagram`
"""

import re
from pathlib import Path

from app.domain.rules.lifecycle import diagram

MAP = Path(__file__).parents[2] / "app" / "README.md"
BEGIN, END = "<!-- lifecycle:begin -->", "<!-- lifecycle:end -->"


def block() -> str:
    """The diagram between its two markers, as the map must hold it."""
    return f"{BEGIN}\n```mermaid\n{diagram()}\n```\n{END}"


def write() -> None:
    """Replaces the diagram of the map. Raises ValueError if a marker is missing."""
    text, count = re.subn(f"{BEGIN}.*{END}", block().replace("\\", r"\\"), MAP.read_text(), flags=re.DOTALL)
    if count != 1:
        raise ValueError(f"{MAP} does not have the markers {BEGIN} and {END} once")
    MAP.write_text(text)


if __name__ == "__main__":
    write()
