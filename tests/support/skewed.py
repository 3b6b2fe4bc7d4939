"""`python -m app` whose records bear a time a minute ago, where the topic keeps the producer's time.

On a topic with `message.timestamp.type=CreateTime` that is a broker whose clock is a minute behind the others'.
"""

import time
from typing import Any

from aiokafka.producer.message_accumulator import BatchBuilder

SKEW_MS = -60_000


def plant() -> None:
    """In this process."""
    builder: Any = BatchBuilder
    inner = builder.append

    def append(self: Any, *, timestamp: int | None, **record: Any) -> Any:
        return inner(self, timestamp=(timestamp or int(time.time() * 1000)) + SKEW_MS, **record)

    builder.append = append


if __name__ == "__main__":
    from app.__main__ import main

    plant()
    main()
