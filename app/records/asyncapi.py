"""AsyncAPI 3.0 over the topics: who writes and reads what, by which key, with which headers.

From `schemas/topics.yaml`; payloads point at the schemas of `records.schemas` in the folder `events`.
"""

from collections.abc import Iterator
from typing import Any

import yaml

from app.records.registry import STRUCTS
from app.records.topics import PER_TENANT, Topic, declared

HEAD = """\
# AsyncAPI 3.0 of every topic. Made by `heliograph schemas` from topics.yaml and the structs: change those, not this.
"""
INFO = {
    "title": "heliograph",
    "version": "1.0.0",
    "description": (
        "Tell this person, and learn what became of it. Teams write the request topic of their tenant and read\n"
        "exactly one outcome per message on notify.outcomes. Each operation is tagged with the party that does it:\n"
        "teams, auditors and operators are outside, all else is heliograph's own. Topics without notify. in their\n"
        "name are internal.\n"
    ),
    "license": {"name": "Apache-2.0"},
}
SERVERS = {
    "kafka": {
        "host": "{brokers}",
        "protocol": "kafka",
        "description": "The cluster of KAFKA_BOOTSTRAP_SERVERS; KAFKA_SECURITY_PROTOCOL says how to talk to it.",
        "variables": {"brokers": {"default": "127.0.0.1:19092", "description": "host:port[,host:port]"}},
    }
}
PARAMETERS = {
    "prefix": {"default": "", "description": "HELIOGRAPH_TOPIC_PREFIX, put before every topic."},
    "tenant": {"description": "A tenant of the tenants file; `default` where one tenant comes from TWILIO_*."},
    "app": {"default": "heliograph", "description": "HELIOGRAPH_APP_ID behind the prefix: the workers' group."},
}
_TEXT = {"type": "string"}
CE = {
    "ce_specversion": {"const": "1.0"},
    "ce_type": {"type": "string", "description": "The record's type."},
    "ce_id": {"type": "string", "description": "The record's id."},
    "ce_source": _TEXT,
    "ce_time": {"type": "string", "format": "date-time"},
    "content-type": _TEXT,
    "traceparent": {"type": "string", "description": "W3C trace context of the request, passed on if it had one."},
}
SCHEMAS = {
    "written": {
        "type": "object",
        "description": "CloudEvents 1.0 in binary mode; the value holds everything by itself.",
        "required": ["ce_specversion", "ce_type", "ce_id", "ce_source", "ce_time", "content-type"],
        "properties": CE | {"ce_source": {"const": "heliograph"}, "content-type": {"const": "application/json"}},
    },
    "read": {
        "type": "object",
        "description": (
            "None is needed. With ce_specversion, ce_id, ce_time and ce_type stand in for id, at and type where the"
            " value has none; a structured CloudEvent holds our fields in data."
        ),
        "properties": CE,
    },
}


def asyncapi() -> dict[str, Any]:
    """The whole AsyncAPI document as an object."""
    topics = declared()
    return {
        "asyncapi": "3.0.0",
        "info": INFO,
        "defaultContentType": "application/json",
        "servers": SERVERS,
        "channels": {_name(topic): _channel(topic) for topic in topics},
        "operations": dict(operation for topic in topics for operation in _operations(topic)),
        "components": {
            "parameters": PARAMETERS,
            "messages": {kind: _message(kind, topic) for topic in topics for kind in topic.types},
            "schemas": SCHEMAS,
        },
    }


def asyncapi_text() -> str:
    """The file as committed."""
    return HEAD + yaml.dump(asyncapi(), Dumper=_PlainDumper, sort_keys=False, allow_unicode=True, width=110)


def _name(topic: Topic) -> str:
    return topic.name.replace("<app>-", "").replace(PER_TENANT, "tenant")


def _channel(topic: Topic) -> dict[str, Any]:
    parameter = "app" if topic.name.startswith("<app>") else "prefix"
    parameters = (parameter, "tenant") if PER_TENANT in topic.name else (parameter,)
    name = topic.name.replace("<app>", "{app}").replace(PER_TENANT, "{tenant}")
    purpose = topic.purpose if topic.types else f"{topic.purpose} A form of our own, for no other reader."
    return {
        "address": name if parameter == "app" else f"{{prefix}}{name}",
        "description": f"{purpose} Key: {topic.key}.",
        "parameters": {one: {"$ref": f"#/components/parameters/{one}"} for one in parameters},
        "messages": {kind: {"$ref": f"#/components/messages/{kind}"} for kind in topic.types},
        "bindings": {"kafka": {"topicConfiguration": _configuration(topic), "bindingVersion": "0.5.0"}},
    }


def _configuration(topic: Topic) -> dict[str, Any]:
    """As the binding has it: policies as a list, numbers as numbers."""
    return {
        name: value.split(",") if name == "cleanup.policy" else int(value)
        for name, value in topic.config.items()
        if name in ("cleanup.policy", "retention.ms", "max.message.bytes", "delete.retention.ms")
    }


def _message(kind: str, topic: Topic) -> dict[str, Any]:
    said = " ".join((STRUCTS[kind].__doc__ or "").split())
    message: dict[str, Any] = {"name": kind, "title": kind, "summary": said.partition(". ")[0].rstrip(".") + "."}
    if topic.cloudevents:
        shared = {"$ref": f"#/components/schemas/{topic.cloudevents}"}
        message["headers"] = {"allOf": [shared, {"type": "object", "properties": {"ce_type": {"const": kind}}}]}
    message["payload"] = {"$ref": f"./events/{kind}.json"}
    key = {"type": "string", "description": topic.key}
    return message | {"bindings": {"kafka": {"key": key, "bindingVersion": "0.5.0"}}}


def _operations(topic: Topic) -> Iterator[tuple[str, dict[str, Any]]]:
    for action, verb, parties in (("send", "writes", topic.writers), ("receive", "reads", topic.readers)):
        for party in parties:
            where = {"$ref": f"#/channels/{_name(topic)}"}
            operation = {"action": action, "channel": where, "tags": [{"name": party}]}
            yield f"{party.replace('/', '.')}.{verb}.{_name(topic)}", operation


class _PlainDumper(yaml.SafeDumper):
    """Without anchors; a text of several lines as a block."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_PlainDumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None),
)
