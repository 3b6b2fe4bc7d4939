"""How settings are read from the environment, and which of its names are faults."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from app.config.declaration import Field

ALIASES = {"TWILIO_STATUS_CALLBACK_PUBLIC_URL": "TWILIO_STATUS_CALLBACK_URL"}
# Read by other parts of the toolset (dev cache, the port of docker-compose.yml's broker, the harness's kill points).
TOLERATED = {"HELIOGRAPH_CACHE", "HELIOGRAPH_KAFKA_PORT", "HELIOGRAPH_DIE_AT"}
PLAIN_KEYS = "plain API keys are not accepted: make each by heliograph keys api create, and take this out"
REMOVED = {"HELIOGRAPH_API_KEYS": PLAIN_KEYS, "HELIOGRAPH_API_KEYS_FILE": PLAIN_KEYS}


def with_aliases(env: Mapping[str, str], faults: list[str]) -> dict[str, str]:
    """The environment with each alias under the name it stands for."""
    known = dict(env)
    for alias, name in ALIASES.items():
        if alias in known and name in known and known[alias] != known[name]:
            faults.append(f"{alias}: differs from {name}")
        known.setdefault(name, known.get(alias, "")) if alias in known else None
    return known


def value_of(field: Field, env: Mapping[str, str], faults: list[str]) -> Any:
    """What a setting is, from its name or NAME_FILE; its default where it is not set or has a fault."""
    text, path = env.get(field.env), env.get(f"{field.env}_FILE") if field.secret else None
    if text and path:
        faults.append(f"{field.env}: given both directly and as {field.env}_FILE")
        return field.default
    if path:
        try:
            text = Path(path).read_text().removesuffix("\n")
        except OSError as error:
            faults.append(f"{field.env}_FILE: {error.strerror}")
        except UnicodeDecodeError:
            faults.append(f"{field.env}_FILE: is not text in UTF-8")
    if not text:
        return field.default
    try:
        return field.read(text)
    except ValueError as error:
        faults.append(f"{field.env}: {_plain(error)}")
        return field.default


def _plain(error: ValueError) -> str:
    text = str(error)
    return text if text.startswith("must") else "is not a number"


def unknown_names(env: Mapping[str, str], fields: Sequence[Field]) -> Iterator[str]:
    """Faults of names that begin as ours do and are no setting."""
    names = [field.env for field in fields]
    known = {*names, *TOLERATED, *(f"{field.env}_FILE" for field in fields if field.secret)}
    own = {name.removeprefix("HELIOGRAPH_"): name for name in names}
    for name in sorted(env):
        if name in REMOVED:
            yield f"{name}: {REMOVED[name]}"
        elif name.startswith("HELIOGRAPH_") and name not in known:
            # What all have in common says nothing about the likeness.
            near = difflib.get_close_matches(name.removeprefix("HELIOGRAPH_"), own, 1, cutoff=0.75)
            yield f"{name}: is not a setting" + (f"; did you mean {own[near[0]]}?" if near else "")
