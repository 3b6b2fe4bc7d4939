"""What a tenant may say of its create calls: parameters, sender, whom a sandbox may text; and of those that fail.

Parameters are set for all its lanes or for one: `[tenants.NAME.create]`, `[tenants.NAME.lanes.NAME.create]`. None is
sent unless it is set; names and words are Twilio's (Message resource, create).

[tenants.acme.create]
address_retention = "obfuscate"
message_intent = {otp = "otp", marketing = "marketing"}   # by category
"""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta

from app.config import parsers
from app.domain.content.phone import read_address
from app.domain.model.vocabulary import Category

Intent = Literal[
    "otp",
    "notifications",
    "marketing",
    "fraud",
    "security",
    "customercare",
    "delivery",
    "education",
    "polling",
    "announcements",
    "events",
]

# How often it may fail, by code: the handset is off (30003), the number is not known (30005). In the tenants file.
COUNTED = ("30003", "30005")
InvalidAfter = dict[str, Annotated[int, Meta(ge=0, le=20)]]


class Parameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An empty text or None: not set. `message_intent` is by category."""

    content_retention: Literal["", "retain", "discard"] = ""
    address_retention: Literal["", "retain", "obfuscate"] = ""
    smart_encoded: bool | None = None
    shorten_urls: bool | None = None
    risk_check: Literal["", "enable", "disable"] = ""
    message_intent: dict[str, str] = {}
    application_sid: str = ""
    provide_feedback: bool | None = None
    max_price: Annotated[float, Meta(gt=0)] | None = None

    def over(self, other: "Parameters") -> "Parameters":
        """What is set here, and for the rest what `other` sets."""
        return msgspec.structs.replace(other, **{name: getattr(self, name) for name in self.set})

    @property
    def set(self) -> tuple[str, ...]:
        """Names of what is set."""
        return tuple(name for name in self.__struct_fields__ if getattr(self, name) not in ("", None, {}))

    @property
    def telling(self) -> tuple[str, ...]:
        """Names of what is set, and not to what holds without it."""
        return tuple(name for name in self.set if getattr(self, name) != _AS_UNSET.get(name))


# What Twilio really does with it, where that is not what its name says.
MISLEADING: Mapping[str, str] = MappingProxyType(
    {
        "max_price": "is obsolete: Twilio ignores it since 2024-06-03",
        "provide_feedback": (
            "asks no carrier for anything: it promises Twilio that you report each delivery by its Feedback resource"
        ),
        "application_sid": "its status callback is never called: the StatusCallback that every call bears wins over it",
    }
)
# What it costs us, or what it leaves to Twilio.
WORTH_KNOWING: Mapping[str, str] = MappingProxyType(
    {
        "content_retention": "with discard Twilio's list holds no text: a call in doubt is not resolved by it",
        "address_retention": "with obfuscate Twilio's list holds no number: a call in doubt is not resolved by it",
        "smart_encoded": "segments are counted after Twilio's replacements; it may count others",
        "shorten_urls": "Twilio's list holds the shortened text: a call in doubt is not resolved by it",
        "risk_check": "Twilio may refuse a text as SMS pumping (30450), or with disable never looks",
        "message_intent": "Twilio's compliance toolkit judges the text by it, and may hold or block it",
    }
)

# What a call does without it: nothing is to be told of it.
_AS_UNSET: Mapping[str, str | bool] = MappingProxyType(
    {
        "content_retention": "retain",
        "address_retention": "retain",
        "smart_encoded": False,
        "shorten_urls": False,
        "provide_feedback": False,
    }
)


def faults_of(given: Parameters) -> Iterator[tuple[str, str]]:
    """Field and broken rule, of what can be read."""
    if given.application_sid:
        try:
            parsers.sid("AP")(given.application_sid)
        except ValueError as error:
            yield "application_sid", str(error)
    for category, intent in given.message_intent.items():
        if rule := no_category(category):
            yield f"message_intent.{category}", rule
        if intent not in get_args(Intent):
            yield f"message_intent.{category}", f"must be one of {', '.join(get_args(Intent))}"


def no_category(name: str) -> str:
    """The rule that a name breaks which is none of a category, or ""."""
    return "" if name in set(Category) else f"is not a category: {', '.join(Category)}"


def never_again(category: str) -> str:
    """Why nothing of this category is sent again when it is in doubt, or ""."""
    return "marketing in doubt is never sent again" if category == Category.MARKETING else no_category(category)


def not_counted(code: str) -> str:
    """Why messages that end with this code are not counted, or ""."""
    return "" if code in COUNTED else f"is not a code that is counted: {', '.join(COUNTED)}"


def describe_failure_limits(given: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    """Code, and what is done after so many messages that end with it."""
    for code, count in given.items():
        messages = "1 message that ends" if count == 1 else f"{count} messages within 30 days that end"
        after = f"after {messages} with {code} a number is invalid, until it texts or something is delivered to it"
        yield code, after if count else f"{code} never makes a number invalid, however often"


def sender_fault(service: str, number: str, pinned: bool) -> str:
    """The rule that a lane's sender breaks, or ""."""
    both = bool(service and number)
    if pinned:
        return "" if both else "needs both messaging_service_sid and from_number, as it is pinned"
    if both:
        return "has both messaging_service_sid and from_number: one of them, or pinned = true for that one sender alone"
    return "" if service or number else "needs exactly one of messaging_service_sid and from_number"


def sandbox_faults(mode: str, allow: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Field and broken rule; never a number itself. `mode` "": it could not be read."""
    for index, number in enumerate(allow):
        if problem := read_address(number).problem:
            yield f"allow[{index}]", problem
    if allow and mode == "live":
        yield "allow", 'is for mode = "sandbox"; this tenant may text anybody'
