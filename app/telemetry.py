"""Logs: one event name and fields, JSON lines on stderr. Never a text, a number or a key.

Numbers and texts are masked where they are made; a last net over the rendered line catches what slipped through.
Libraries that log through stdlib end in the same form; Twilio's client, which logs numbers and URLs, is capped.
"""

import logging
import re
import sys
from contextlib import suppress
from types import TracebackType
from typing import Any

import orjson
import structlog

from app import clock

# E.164-like runs of digits, and Twilio account and key secrets' usual forms, whatever printed them.
_NUMBER = re.compile(rb"(?<![0-9A-Za-z.:_-])(\+|%2B)[1-9][0-9]{6,14}(?![0-9])")
EVERY_S, REMEMBERED = 60.0, 1000
_CAPPED = ("twilio", "aiohttp.access", "uvicorn.access", "asyncio", "aiokafka.conn", "hpack")


def _render(_logger: Any, _name: str, event: Any) -> str:
    """The line. Never raises: a field may come from a record, and what JSON cannot hold must not end its reader."""
    try:
        line = orjson.dumps(event, default=_type_of)
    except TypeError:
        line = orjson.dumps({str(name): _writable(value) for name, value in event.items()}, default=_type_of)
    return _NUMBER.sub(b"<number>", line).decode()


def _type_of(value: Any) -> str:
    return f"<{type(value).__name__}>"


def _writable(value: Any) -> Any:
    """A value as JSON can hold it: lone surrogates replaced; of what it cannot hold otherwise the type alone."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    try:
        orjson.dumps(value, default=_type_of)
    except TypeError:  # an integer of more than 64 bits, alone or within
        return _type_of(value)
    return value


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


class _PlainText(logging.Formatter):
    """A library's record as our JSON line: its first line, netted, exceptions by their type, a traceback by its places.

    asyncio puts the repr of tasks, and so of their exceptions, on the lines that follow.
    """

    def format(self, record: logging.LogRecord) -> str:
        event: dict[str, Any] = {"level": record.levelname.lower(), "logger": record.name, "event": _first_line(record)}
        if record.exc_info and record.exc_info[1]:
            event |= {"error": type(record.exc_info[1]).__name__, "frames": frames_of(record.exc_info[1])}
        return _render(None, "", event)


def _first_line(record: logging.LogRecord) -> str:
    args = record.args if isinstance(record.args, tuple) else (record.args,) if record.args else ()
    if not any(isinstance(arg, BaseException) for arg in args):
        return record.getMessage().partition("\n")[0][:2000]
    named = tuple(type(arg).__name__ if isinstance(arg, BaseException) else arg for arg in args)
    return (record.msg % named).partition("\n")[0][:2000]


def frames_of(error: BaseException) -> list[str]:
    """Where it was raised, without any value: file, line and function of the innermost four frames."""
    frames, trace = [], error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        frames.append(f"{code.co_filename.rpartition('/app/')[2]}:{trace.tb_lineno}:{code.co_name}")
        trace = trace.tb_next
    return frames[-4:]


def _crashed(_kind: type[BaseException], error: BaseException, _trace: TracebackType | None) -> None:
    """The last word of a process that raised: what an exception says may hold a text, so only its type and place."""
    if isinstance(error, KeyboardInterrupt):
        return
    logger(__name__).critical("process.crashed", error=type(error).__name__, frames=frames_of(error))


class _Stderr:
    """stderr; a line that it refuses, as on a full disk, is lost: the ingress must go on to its spool, or to a 503."""

    def write(self, text: str) -> None:
        """All of it or nothing."""
        with suppress(OSError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            sys.stderr.flush()


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
        logger_factory=structlog.PrintLoggerFactory(_Stderr()),  # type: ignore[arg-type] # all that a printer asks of a file
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_PlainText())
    handler.addFilter(_Seldom())
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[handler], force=True)
    sys.excepthook = _crashed
    for name in _CAPPED:
        logging.getLogger(name).setLevel(logging.ERROR)


def logger(name: str) -> Any:
    """A logger: `log.info("attempt.refused", message=..., reason=...)`."""
    return structlog.get_logger(name)
