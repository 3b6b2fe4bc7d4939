"""Reads TOML tables as structs, field by field, so that all faults are reported together."""

import difflib
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

import msgspec

from app.config import parsers

Read = TypeVar("Read", bound=msgspec.Struct)


def struct(where: str, table: Any, kind: type[Read], faults: list[str]) -> Read:
    """Read `table` as `kind`. A field that cannot be read keeps its default and adds a line to `faults`; a nested table
    is read in the same way."""
    if not isinstance(table, dict):
        faults.append(f"{where}: must be a table")
        return kind()
    types, good = {field.name: field.type for field in msgspec.structs.fields(kind)}, {}
    for name, value in table.items():
        if name not in types:
            near = difflib.get_close_matches(name, types, 1)
            faults.append(f"{where}.{name}: is not known" + (f"; did you mean {near[0]}?" if near else ""))
            continue
        if isinstance(types[name], type) and issubclass(types[name], msgspec.Struct):
            good[name] = struct(f"{where}.{name}", value, types[name], faults)
            continue
        if (read := _field(f"{where}.{name}", value, types[name], faults)) is not None:
            good[name] = read
    return kind(**good)


def _field(where: str, value: Any, kind: Any, faults: list[str]) -> Any:
    """None if it cannot be read; of a table each entry that can."""
    if get_origin(kind) is dict and isinstance(value, dict):
        of = get_args(kind)[1]
        read = {name: _field(f"{where}.{name}", one, of, faults) for name, one in value.items()}
        return {name: one for name, one in read.items() if one is not None}
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        rule, _, path = str(error).partition(" - at `$")
        words = ", ".join(filter(None, get_args(kind))) if get_origin(kind) is Literal else ""
        faults.append(f"{where}{path.rstrip('`')}: {f'must be one of {words}' if words else rule}")
    return None


def unread(faults: Iterable[str], where: str, *names: str) -> bool:
    """True if `faults` name this table or setting, or one of its fields `names`. Its default then stands in for the
    value, and a rule that the default breaks is no further fault."""
    starts = (f"{where}:", *(f"{where}.{name}{end}" for name in names for end in ":.["))
    return any(fault.startswith(starts) for fault in faults)


def below(where: str, table: dict[str, Any], name: str, kind: type[Read], faults: list[str]) -> dict[str, Read]:
    """The tables of one kind within another, by name."""
    given = table.get(name, {})
    if not isinstance(given, dict):
        faults.append(f"{where}.{name}: must be a table")
        return {}
    return {key: struct(f"{where}.{name}.{key}", one, kind, faults) for key, one in given.items()}


def of_tenants(path: str, faults: list[str]) -> list[tuple[str, dict[str, Any]]]:
    """Name and table of each tenant of a file."""
    try:
        whole = tomllib.loads(Path(path).read_text())
    except OSError as error:
        faults.append(str(error.strerror))
        return []
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        faults.append(f"is not TOML: {error}")
        return []
    faults += [f"{name}: is not known; tables are [tenants.NAME]" for name in whole if name != "tenants"]
    tenants = whole.get("tenants", {})
    if not isinstance(tenants, dict):
        tenants = {"": tenants}
    faults += [f"tenants.{name}: must be a table" for name, table in tenants.items() if not isinstance(table, dict)]
    return [(name, table) for name, table in tenants.items() if isinstance(table, dict)]


def misshapen(given: object, shapes: Mapping[str, Callable[[str], str]]) -> list[tuple[str, str]]:
    """Return (field, broken rule) for each attribute of `given` that is not empty and that its parser refuses."""
    found = []
    for name, read in shapes.items():
        try:
            _ = read(text) if (text := getattr(given, name)) else ""
        except ValueError as error:
            found.append((name, str(error)))
    return found


def words(where: str, path: str, faults: list[str]) -> tuple[str, ...]:
    """What stands in a file of secrets, between blanks or commas; nothing without a path."""
    try:
        return tuple(parsers.words(Path(path).read_text())) if path else ()
    except (OSError, UnicodeDecodeError) as error:
        faults.append(f"{where}: {error.strerror if isinstance(error, OSError) else 'is not text in UTF-8'}")
        return ()


def pairs(where: str, path: str, faults: list[str]) -> dict[str, str]:
    """The words of such a file, id:secret each."""
    split = [word.partition(":") for word in words(where, path, faults)]
    if unnamed := [word for word in split if not all(word)]:
        words_are = "1 word is" if len(unnamed) == 1 else f"{len(unnamed)} words are"
        faults.append(f"{where}: {words_are} not id:secret")
    return {key: secret for key, _, secret in split if secret}
