"""Parsers of settings. Each takes text and raises ValueError with the rule that the text breaks: "must ..."."""

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

Word = TypeVar("Word", bound=str)

E164, SHORT_CODE = r"\+[1-9][0-9]{6,14}", "[0-9]{4,6}"
# Twilio's rule for an alphanumeric sender id: 11 characters, a letter among them.
NAMED = r"(?=.*[A-Za-z])[A-Za-z0-9 +\-_&]{1,11}"


class Secret(str):
    """A string that hides itself when printed; `reveal()` gives it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return "***"

    def reveal(self) -> str:
        """The secret in clear."""
        return "".join(self)


def key(text: str) -> bytes:
    """At least 32 bytes, in hex or base64."""
    for decode in (bytes.fromhex, base64.urlsafe_b64decode, base64.b64decode):
        try:
            found = decode(text)
        except (ValueError, binascii.Error):
            continue
        if len(found) >= 32:
            return found
    raise ValueError("must be at least 32 bytes in hex or base64")


def seal_keys(text: str) -> dict[str, bytes]:
    """kid:key[,kid:key], 32 bytes each; the first seals."""
    keys = {}
    for part in filter(None, text.split(",")):
        key_id, colon, made_of = part.strip().partition(":")
        if not colon or not key_id.isalnum():
            raise ValueError("must be kid:key[,kid:key], keys of 32 bytes in hex or base64")
        keys[key_id] = key(made_of)[:32]
    return keys


def positive(text: str) -> float:
    """A number above 0."""
    number = float(text)
    if not number > 0:
        raise ValueError("must be above 0")
    return number


def not_negative(text: str) -> float:
    """A number from 0."""
    number = float(text)
    if not number >= 0:
        raise ValueError("must not be negative")
    return number


def durations(text: str) -> tuple[float, ...]:
    """Numbers between commas, each above the one before and above 0."""
    numbers = tuple(float(part) for part in text.split(","))
    if not all(before < number for before, number in zip((0.0, *numbers), numbers, strict=False)):
        raise ValueError("must be numbers between commas, above 0 and rising")
    return numbers


def count(text: str) -> int:
    """A whole number above 0."""
    number = int(text)
    if number < 1:
        raise ValueError("must be a whole number above 0")
    return number


def port(text: str) -> int:
    """A port; 0 is any free one."""
    number = int(text)
    if not 0 <= number <= 65535:
        raise ValueError("must be a port, 0 to 65535 (0: any free one)")
    return number


def names(text: str) -> tuple[str, ...]:
    """The non-empty parts between commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def words(text: str) -> list[str]:
    """Parts between blanks or commas."""
    return text.replace(",", " ").split()


def secrets(text: str) -> tuple[Secret, ...]:
    """Secrets between blanks or commas: a file has one a line, a variable commas."""
    return tuple(Secret(part) for part in words(text))


def database(text: str) -> Secret:
    """The URL of a database, which may hold a password."""
    if not text.startswith(("postgresql://", "postgres://", "sqlite:///")):
        raise ValueError("must begin with postgresql:// or sqlite:///")
    return Secret(text)


def unshown(text: str) -> tuple[Secret, ...]:
    """Parts between commas that nobody is shown."""
    return tuple(Secret(part) for part in names(text))


def networks(text: str) -> tuple[str, ...]:
    """Addresses and networks (10.0.0.0/8) between commas."""
    found = names(text)
    for part in found:
        try:
            ipaddress.ip_network(part)
        except ValueError:
            raise ValueError("must be addresses or networks between commas, such as 127.0.0.1,10.0.0.0/8") from None
    return found


def choice(*words: Word) -> Callable[[str], Word]:
    """A parser that accepts exactly these words."""

    def read(text: str) -> Word:
        for word in words:
            if text == word:
                return word
        raise ValueError(f"must be one of {', '.join(words)}")

    return read


def servers(text: str) -> str:
    """Brokers as host:port between commas. Raises ValueError."""
    for part in text.split(","):
        host, colon, number = part.strip().rpartition(":")
        if not (host and colon and number.isdecimal() and 0 < int(number) < 65536):
            raise ValueError("must be host:port[,host:port]")
    return text


def existing(text: str) -> str:
    """A path at which there is something."""
    if not Path(text).exists():
        raise ValueError("must be the path of a file that exists")
    return text


def sid(prefix: str) -> Callable[[str], str]:
    """A reader of one kind of Twilio's SIDs."""

    def read(text: str) -> str:
        if not re.fullmatch(f"{prefix}[0-9a-fA-F]{{32}}", text):
            raise ValueError(f"must be {prefix} and 32 hex digits")
        return text

    return read


def sender(text: str) -> str:
    """A number in E.164, a short code (5 or 6 digits, 4 in some countries) or an alphanumeric sender id."""
    if not re.fullmatch(f"{E164}|{SHORT_CODE}|{NAMED}", text):
        raise ValueError("must be a number in E.164 (+14155550123), a short code or an alphanumeric sender id")
    return text


def url(text: str) -> str:
    """An address of the web."""
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise ValueError("must be an http or https URL")
    return text


def server(text: str) -> str:
    """An address of the web to which credentials go by header alone."""
    if "@" in urlsplit(url(text)).netloc:
        raise ValueError("must hold no user and no password: account_sid and auth_tokens log in")
    return text


def broken(read: Callable[[str], object], text: str) -> str:
    """The rule that a text breaks, "" if it can be read."""
    try:
        read(text)
    except ValueError as error:
        return str(error)
    return ""


# Twilio, "Webhooks connection overrides": ct, rt, tt in ms, rc retries, rp on what, e from where.
_RANGES = {"ct": (100, 10_000), "rt": (100, 15_000), "tt": (100, 15_000), "rc": (0, 5)}
_POLICIES = {"4xx", "5xx", "ct", "rt", "all"}


def overrides(text: str) -> str:
    """Connection overrides, as they stand behind the # of a webhook's URL."""
    for part in text.split("&"):
        name, _, value = part.partition("=")
        low, high = _RANGES.get(name, (0, -1))
        good = value.isascii() and value.isdecimal() and low <= int(value[:6]) <= high
        good |= name == "rp" and set(value.split(",")) <= _POLICIES
        good |= name == "e" and re.fullmatch("[a-z-]{2,20}(,[a-z-]{2,20})*", value) is not None
        if not good:
            raise ValueError("must be Twilio's connection overrides, such as rc=5&rp=all")
    return text


# What a topic may be called (org.apache.kafka.common.internals.Topic).
_TOPIC, _MAX_TOPIC = re.compile(r"[a-zA-Z0-9._-]+\Z"), 249
# What a text of a tenant or a lane must look like where one is given, by field.
LANE_SHAPES = {"messaging_service_sid": sid("MG"), "from_number": sender}
TENANT_SHAPES = {
    "account_sid": sid("AC"),
    "status_callback_url": url,
    "inbound_url": url,
    "webhook_overrides": overrides,
    "api_base_url": server,
}


def tenant_name_faults(names: Sequence[str], prefix: str) -> Iterator[tuple[str, str]]:
    """Tenants whose request topic Kafka would refuse, and the rule; `prefix`: HELIOGRAPH_TOPIC_PREFIX."""
    most, taken = _MAX_TOPIC - len(f"{prefix}notify.requests."), dict[str, str]()
    for name in names:
        other = taken.setdefault(name.replace(".", "_"), name)
        if not _TOPIC.match(name):
            yield name, "is a part of a topic's name: letters of a to z, digits, dots, underscores and hyphens only"
        elif len(name) > most:
            yield name, f"is a part of a topic's name: at most {most} characters"
        elif other != name:
            yield name, f"differs from tenant {other} in dots and underscores only, which Kafka does not tell apart"
