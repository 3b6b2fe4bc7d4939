"""How a setting is declared: once, as an attribute of `Settings`, with everything that is derived from it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Field:
    """A declared setting, for documentation and for reading the environment.

    `name`: attribute of `Settings`; `env`: environment variable; `read`: parser of its text; `meaning`: one line for
    the settings table, with the unit; `secret`: never printed, and may also come as NAME_FILE.
    """

    name: str
    env: str
    default: Any
    read: Callable[[str], Any]
    meaning: str
    secret: bool = False

    @property
    def shown(self) -> str:
        """The default as it would be written in the environment; "" if there is none to show."""
        if self.secret or self.default in ("", None, ()):
            return ""
        if isinstance(self.default, tuple):
            return ",".join(part if isinstance(part, str) else f"{part:g}" for part in self.default)
        return str(self.default)


def setting(env: str, default: T, read: Callable[[str], T], meaning: str, *, secret: bool = False) -> T:
    """Declare an attribute of `Settings`: a dataclass field whose metadata make its `Field`.

    The return type is that of the attribute, as with `dataclasses.field`, so that mypy compares the type of the
    attribute with the default and the parser.
    """
    metadata = {"env": env, "default": default, "read": read, "meaning": meaning, "secret": secret}
    declared: T = field(default_factory=lambda: default, metadata=metadata)
    return declared
