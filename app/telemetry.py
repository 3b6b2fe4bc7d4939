"""Logs: one event name and fields, JSON lines on stderr. Never a text, a number or a key.

Numbers and texts are masked where they are made; a last net over the rendered line catches what slipped through.
Libraries that log through stdlib end in the same form; Twilio's client, which logs numbers and URLs, is capped.
"""

import logging
import re
import sys
from typing import Any

import orjson
import structlog

from app import clock

# E.164-like runs of digits, and Twilio account and key secrets' usual forms, whatever printed them.
_NUMBER = re.compile(rb"(?<![0-9A-Za-z.:_-])(\+|%2B)[1-9][0-9]{6,14}(?![0-9])")
EVERY_S, REMEMBERED = 60.0, 1000
_CAPPED = ("twilio", "aiohttp.access", "uvicorn.access", "asyncio", "aiokafka.conn", "hpack")


def _render(_logger: Any, _name: str, event: Any) -> str:
    line = orjson.dumps(event, default=lambda value: f"<{type(value).__name__}>")
    return _NUMBER.sub(b"<number>", line).decode()


class _Seldom(logging.Filter):
    """The same words of a library at most once in `EVERY_S`: while Kafka is away its client says so at each try."""

    def __init__(self) -> None:
        super().__init__()
        self._said_s: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to say it."""
        what, now_s = (record.name, record.getMessage()), clock.boot_s()
        if now_s - self._said_s.get(what, -EVERY_S) < EVERY_S:
            return False
        if len(self._said_s) >= REMEMBERED:
            self._said_s.clear()
        self._said_s[what] = now_s
        return True


class _Plain(logging.Formatter):
    """A library's record as our JSON line: its text netted, a traceback reduced to places and the exception's type."""

    def format(self, record: logging.LogRecord) -> str:
        event = {"level": record.levelname.lower(), "logger": record.name, "event": record.getMessage()[:2000]}
        if record.exc_info and record.exc_info[0]:
            event["error"] = record.exc_info[0].__name__
        return _render(None, "", event)


def configure(level: str = "info") -> None:
    """Once per process, before anything logs."""
    number = getattr(logging, level.upper())
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Plain())
    handler.addFilter(_Seldom())
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[handler], force=True)
    for name in _CAPPED:
        logging.getLogger(name).setLevel(logging.ERROR)


def logger(name: str) -> Any:
    """A logger: `log.info("attempt.refused", message=..., reason=...)`."""
    return structlog.get_logger(name)
