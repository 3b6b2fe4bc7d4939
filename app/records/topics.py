"""Topics, from the one declaration in `schemas/topics.yaml`."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Literal

import msgspec

PER_TENANT = "<tenant>"
CHANGELOG_TABLES = ("contacts", "messages", "asks", "metrics")


class Topic(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One topic as declared. `name` carries the prefix once read by `Topics`; `config` is what the broker is told.

    `cloudevents`: its records carry ce_* headers (written), or those that a producer may add are read (read).
    `config_readers`: who asks for its configuration.
    """

    name: str
    purpose: str
    key: str
    types: tuple[str, ...]
    writers: tuple[str, ...]
    readers: tuple[str, ...]
    config_readers: tuple[str, ...] = ()
    core: bool = True
    cloudevents: Literal["", "read", "written"] = ""
    config: dict[str, str] = {}


class Group(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One consumer group as declared. `members` join it and commit, `observers` ask for its members and offsets."""

    name: str
    purpose: str
    members: tuple[str, ...]
    observers: tuple[str, ...] = ()


class Declaration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The content of `topics.yaml`: topics and groups."""

    topics: tuple[Topic, ...]
    groups: tuple[Group, ...]


def declaration() -> Declaration:
    """The file as it is, without prefix."""
    import yaml

    return msgspec.convert(yaml.safe_load((schemas_folder() / "topics.yaml").read_text()), Declaration)


def declared() -> tuple[Topic, ...]:
    """Every topic, without prefix."""
    return declaration().topics


def schemas_folder() -> Path:
    """Beside the package in a checkout, inside it in an installed wheel."""
    package = Path(str(files("app")))
    beside = package.parent / "schemas"
    return beside if (beside / "topics.yaml").exists() else package / "schemas"


class Topics:
    """Names with the prefix in force, and every topic that must exist, changelogs included.

    `tenants`: names of those that have request topics of their own; none where only topics of all tenants are asked
    for. `request_tenants`: the tenant of each request topic that belongs to one.
    """

    def __init__(self, prefix: str, group: str, tenants: Iterable[str] = ()) -> None:
        known, names = declaration(), tuple(tenants)
        self.all: Mapping[str, Topic] = {
            t.name: msgspec.structs.replace(t, name=_named(t.name, prefix, group))
            for one in known.topics
            for t in _of_each(one, names)
        }
        self.group = group
        self.groups = tuple(msgspec.structs.replace(one, name=_named(one.name, prefix, group)) for one in known.groups)
        self.requests = prefix + "notify.requests"
        self.request_tenants: Mapping[str, str] = {self.requests_of(name): name for name in names}
        self.outcomes = prefix + "notify.outcomes"
        self.updates = prefix + "notify.updates"
        self.inbound = prefix + "notify.inbound"
        self.consent = prefix + "notify.consent"
        self.metrics = prefix + "notify.metrics"
        self.deadletters = prefix + "notify.deadletters"
        self.contacts = prefix + "contacts"
        self.lanes = prefix + "lanes"
        self.bulk = prefix + "bulk"
        self.positions = self.all["<app>-positions"].name

    def requests_of(self, tenant: str) -> str:
        """The request topic of one tenant."""
        return f"{self.requests}.{tenant}"

    @property
    def sources(self) -> tuple[str, ...]:
        """Topics that an agent of the workers reads, by the committed offsets of their consumer group."""
        return tuple(t.name for t in self.all.values() if any(reader.startswith("worker/") for reader in t.readers))


def _of_each(topic: Topic, tenants: Sequence[str]) -> Iterator[Topic]:
    """The topic, or one for each tenant."""
    if PER_TENANT not in topic.name:
        yield topic
        return
    for tenant in tenants:
        yield msgspec.structs.replace(topic, name=topic.name.replace(PER_TENANT, tenant))


def _named(name: str, prefix: str, group: str) -> str:
    return name.replace("<app>", group) if name.startswith("<app>") else prefix + name
