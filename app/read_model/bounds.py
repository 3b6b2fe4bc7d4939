"""What a row can hold, derived from the columns of its table, so that one record cannot stop the projection.

The stricter database decides for both: PostgreSQL has 32-bit integers, no NUL in texts and texts of bounded length;
SQLite refuses only integers beyond 64 bits. Rows are then the same in either database.
"""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from app.read_model.tables import messages


def find_violation(row: Mapping[str, Any]) -> tuple[str, str] | None:
    """The first column that cannot hold its value, and the rule it breaks; None if every column can.

    Args:
        row: values by column of table `heliograph_messages`, as they would be written.
    """
    for name, value in row.items():
        if rule := _broken_rule(messages.c[name].type, value):
            return name, rule
    return None


def _broken_rule(kind: sa.types.TypeEngine[Any], value: Any) -> str:
    if isinstance(value, str):
        return _broken_text_rule(kind, value)
    # BigInteger is an Integer, too; a truth value is an int of Python's.
    if isinstance(kind, sa.Integer) and isinstance(value, int):
        bits = 63 if isinstance(kind, sa.BigInteger) else 31
        return "" if -(1 << bits) <= value < 1 << bits else f"must be an integer of {bits + 1} bits"
    return ""


def _broken_text_rule(kind: sa.types.TypeEngine[Any], value: str) -> str:
    if "\0" in value:
        return "must hold no NUL character"
    length = kind.length if isinstance(kind, sa.String) else None
    return f"must have at most {length} characters" if length is not None and len(value) > length else ""
