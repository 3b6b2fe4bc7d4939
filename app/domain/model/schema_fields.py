"""Kinds of fields that travel: what each holds, as the schemas tell their readers.

Texts bind no reader of ours: where one is refused, the rule stands on the field itself (see `records.requests`); here
is what writers promise. Numbers do: what is beyond `LARGEST` is refused, so that no sum of them overflows a clock.
"""

from typing import Annotated

from msgspec import Meta

from app.domain.model.vocabulary import (
    STATUS_WORDS,
    CreateResult,
    DeliveryStatus,
    ErrorClass,
    Intent,
    OutcomeWord,
    Reason,
)

# As large as JSON in other languages holds exactly; some 285,000 years in milliseconds.
LARGEST = 2**53 - 1
BOUNDS = Meta(ge=-LARGEST, le=LARGEST)
_SID = r"^([A-Z]{2}[0-9a-zA-Z]{32})?$"

Id = Annotated[str, Meta(description="Names this record; a repeat after a crash carries the same.")]
Tenant = Annotated[str, Meta(description="The tenant it belongs to, verified by the writer.")]
Iso = Annotated[str, Meta(description="RFC 3339 in UTC with milliseconds.", extra_json_schema={"format": "date-time"})]
EpochMs = Annotated[int, BOUNDS, Meta(description="Milliseconds since the Unix epoch.")]
Ms = Annotated[int, BOUNDS, Meta(description="A duration in milliseconds.")]

ContactId = Annotated[
    str,
    Meta(
        description="One recipient of one tenant, under a pseudonym: no number can be read from it.",
        extra_json_schema={"pattern": "^[0-9a-f]{20}$"},
    ),
]
MessageId = Annotated[
    str,
    Meta(
        description="One message to one recipient: the contact's id, a dash, 20 hex digits.",
        extra_json_schema={"pattern": "^[0-9a-f]{20}-[0-9a-f]{20}$"},
    ),
]
TimedMessageId = Annotated[
    str,
    Meta(
        description="The message; empty for a timer of the contact.",
        extra_json_schema={"pattern": "^([0-9a-f]{20}-[0-9a-f]{20})?$"},
    ),
]
IdempotencyKey = Annotated[
    str, Meta(description="The caller's key; without one the event's id, without both the record's place.")
]
RequestId = Annotated[
    str, Meta(description="Id of the request's event, as its producer set it; without one its place; else empty.")
]
Attempt = Annotated[int, Meta(ge=0, le=LARGEST, description="Number of the create call, from 1; 0: none.")]
Lane = Annotated[str, Meta(description="The sender's outgoing line: a name from the tenant's configuration.")]
Segments = Annotated[int, Meta(ge=0, le=LARGEST, description="Billed parts of the text.")]
Country = Annotated[
    str,
    Meta(description="Country of the number, ISO 3166-1 alpha-2; ZZ or 001 without one, empty before it is known."),
]
Masked = Annotated[str, Meta(description="The other party as it may be shown: •••0123.")]
Sid = Annotated[str, Meta(description="Twilio's SID, empty without one.", extra_json_schema={"pattern": _SID})]
Code = Annotated[int, Meta(ge=1, le=LARGEST, description="Twilio's error code.")]
Source = Annotated[str, Meta(description="Where the request was read: topic-partition-offset of its record.")]
Fingerprint = Annotated[str, Meta(description="Hash that tells one payload from another and nothing of it.")]
Digest = Annotated[str, Meta(description="Keyed hash of a text, to find it again on Twilio's list; empty: not known.")]
TwilioStatus = Annotated[str, Meta(description="Twilio's own word for it.")]
KeyFingerprint = Annotated[
    str,
    Meta(
        description="Fingerprint of the pseudonym key and of the form of inputs: another one is not ours to read.",
        extra_json_schema={"pattern": "^[0-9a-f]{8}$"},
    ),
]
Keyword = Annotated[str, Meta(description="The known keyword that was texted, or empty.")]
IntentRule = Annotated[
    str, Meta(description="The rule by which the intent was read, such as keyword or stop_texting, or empty.")
]
AnsweredBy = Annotated[
    str,
    Meta(
        description="Who replies to the keyword; empty: nobody.",
        extra_json_schema={"enum": ["twilio", "heliograph", ""]},
    ),
]
InvalidAfter = Annotated[
    int,
    Meta(
        ge=0,
        le=LARGEST,
        description="So many messages that fail like this, and none between that arrives: the number is invalid.",
    ),
]
HoldUntil = Annotated[
    int,
    Meta(ge=0, le=LARGEST, description="No further attempt before, ms since the epoch; 0: as the class says."),
]
MediaCount = Annotated[int, Meta(ge=0, le=LARGEST, description="Number of media that came with it.")]
EventToken = Annotated[str, Meta(description="I-Twilio-Idempotency-Token, the same for all tries of one event.")]
Campaign = Annotated[str, Meta(description="The caller's name for a series of messages.")]
Metadata = dict[str, str]
Traceparent = Annotated[str, Meta(description="W3C trace context of the request, passed on.")]
FaultyField = Annotated[str, Meta(description="Path of the field that broke a rule, such as to[3]; empty: the whole.")]
Warnings = Annotated[
    tuple[str, ...],
    Meta(
        description="What may go wrong with its media, each with its place in the list; what was replaced to read it; "
        "what is left out because its seal could not be opened."
    ),
]
Rule = Annotated[str, Meta(description="The rule that was broken, without the content that broke it.")]

By = Annotated[str, Meta(description="Who did it, as they said.")]
OsUser = Annotated[
    str, Meta(description="The user of the operating system whose process it was; empty: written by an older build.")
]
SudoUser = Annotated[str, Meta(description="Who became that user by sudo (SUDO_USER); empty: nobody did.")]

OutcomeField = Annotated[str, Meta(description=OutcomeWord.__doc__, extra_json_schema={"enum": [*OutcomeWord]})]
OutcomeReason = Annotated[str, Meta(description=Reason.__doc__, extra_json_schema={"enum": [*Reason]})]
AnswerWord = Annotated[str, Meta(description=CreateResult.__doc__, extra_json_schema={"enum": [*CreateResult]})]
ClassWord = Annotated[str, Meta(description=ErrorClass.__doc__, extra_json_schema={"enum": [*ErrorClass]})]
IntentWord = Annotated[str, Meta(description=Intent.__doc__, extra_json_schema={"enum": [*Intent]})]
ProgressWord = Annotated[
    str,
    Meta(description="How far the attempt came.", extra_json_schema={"enum": list(STATUS_WORDS.values())}),
]
ProgressRank = Annotated[
    DeliveryStatus,
    Meta(description=f"Rank: {', '.join(f'{rank.value} {word}' for rank, word in STATUS_WORDS.items())}."),
]


def sealed(holds: str, subject: str) -> Meta:
    """A sealed field: what it `holds`, and the `subject` that is its associated data beside the tenant."""
    return Meta(
        description=f"Sealed {holds}: key id, a dot, base64url of nonce, AES-256-GCM ciphertext and tag.",
        extra_json_schema={
            "pattern": "^[^.]+\\.[A-Za-z0-9_-]+=*$",
            "x-sealed": {"holds": holds, "associated": subject},
        },
    )


SealedContent = Annotated[str, sealed("{to, body, media, link}", "tenant and message_id")]
SealedCallerFields = Annotated[
    str, sealed("[idempotency_key, campaign, metadata, request_id] (MessagePack)", "tenant and message_id")
]
SealedTo = Annotated[str, sealed("{to}", "tenant and message_id")]
SealedText = Annotated[str, sealed("{to, body, media, sender}", "tenant and the inbound SID")]
SealedEnvelope = Annotated[
    str, sealed("{key, headers, null_value, cut} of the record", "the empty tenant and `source`")
]
SealedWebhook = Annotated[str, sealed("{kind, query, body, signature, settings, form}", "tenant and the SID")]
SealedRecord = Annotated[str, sealed("the request's key, value and headers (MessagePack)", "tenant and `id`")]
SealedPayload = Annotated[str, sealed("the record's value, or its beginning", "the empty tenant and `source`")]
