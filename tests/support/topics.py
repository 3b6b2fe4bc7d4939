"""A test's own topics on the real broker, and commands run on them."""

import asyncio
import json
import subprocess
import uuid
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from app.dev.dev_cluster import apply_topics
from tests.support.commands import KEYS, heliograph


class TopicEnvironment:
    """Topics of a test's own, and the environment that names them."""

    def __init__(self, kafka: str, path: Path) -> None:
        self.path, self.prefix = path, f"c{uuid.uuid4().hex[:8]}."
        self.env = {
            **KEYS,
            "KAFKA_BOOTSTRAP_SERVERS": kafka,
            "HELIOGRAPH_TOPIC_PREFIX": self.prefix,
            "HELIOGRAPH_PARTITIONS": "2",
            "HELIOGRAPH_DATA_DIR": str(path / "worker"),
            "HELIOGRAPH_SPOOL_DIR": str(path / "spool"),
            "HELIOGRAPH_API_KEY_STORE": str(path / "api-keys.json"),
            "HELIOGRAPH_INTERNAL_PORT": "0",
        }
        asyncio.run(apply_topics(self.env))

    def run(self, *words: str, **env: str) -> "subprocess.CompletedProcess[str]":
        return heliograph(*words, **(self.env | env))

    def produce(self, topic: str, key: str, value: dict[str, Any] | bytes) -> int:
        """Its log time, ms."""
        at: list[int] = []
        producer = Producer({"bootstrap.servers": self.env["KAFKA_BOOTSTRAP_SERVERS"]})
        raw = value if isinstance(value, bytes) else json.dumps(value).encode()
        producer.produce(self.prefix + topic, key=key, value=raw, on_delivery=lambda _, m: at.append(m.timestamp()[1]))
        assert producer.flush(20) == 0
        return at[0]
