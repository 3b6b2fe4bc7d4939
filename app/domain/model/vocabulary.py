"""The closed lists of words: priorities, progress, outcomes, reasons, error classes, intents.

Vendor words (Twilio's statuses and numbers) end in `provider.words`; the domain knows only these.
"""

from enum import IntEnum, StrEnum


class Priority(StrEnum):
    """Who goes first within a lane."""

    URGENT = "urgent"
    NORMAL = "normal"
    BULK = "bulk"


class Category(StrEnum):
    """What a message is for; it sets the default deadline and the policy for doubt."""

    OTP = "otp"
    TRANSACTIONAL = "transactional"
    ALERT = "alert"
    MARKETING = "marketing"


class DeliveryStatus(IntEnum):
    """How far one attempt came. Only `max` moves it, so no order of reports can undo a step.

    Delivered outranks undelivered and failed (Twilio sends contradicting receipts and no usable time to order by).
    """

    CLAIMED = 0
    ACCEPTED = 1
    QUEUED = 2
    SENDING = 3
    SENT = 4
    CANCELED = 5
    FAILED = 6
    UNDELIVERED = 7
    DELIVERED = 10
    READ = 11


# Ready-made: every report asks for its own, and an enumeration's name is slow to get.
STATUS_WORDS = {progress: progress.name.lower() for progress in DeliveryStatus}


class CreateResult(StrEnum):
    """What became of the create call of an attempt. `open`: no word yet."""

    OPEN = "open"
    TAKEN = "taken"
    REFUSED = "refused"
    DOUBTFUL = "doubtful"
    ABANDONED = "abandoned"


class Stage(StrEnum):
    """Where a message stands. `flying`: an attempt was claimed and nothing final is known."""

    SCHEDULED = "scheduled"
    WAITING = "waiting"
    RETRYING = "retrying"
    FLYING = "flying"
    FINAL = "final"


class OutcomeWord(StrEnum):
    """Outcome words, the last word on a message."""

    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    FAILED = "failed"
    SUPPRESSED = "suppressed"
    EXPIRED = "expired"
    CANCELED = "canceled"
    REJECTED = "rejected"
    UNCONFIRMED = "unconfirmed"
    IN_DOUBT = "in_doubt"


class ErrorClass(StrEnum):
    """What kind of refusal or failure an error code is; stamped on answers and reports at the door."""

    OPTED_OUT = "opted_out"
    NUMBER_INVALID = "number_invalid"
    NUMBER_UNREACHABLE = "number_unreachable"
    SENDER_UNREACHABLE = "sender_unreachable"
    MMS_IMPOSSIBLE = "mms_impossible"
    REQUEST = "request"
    CONFIGURATION = "configuration"
    THROTTLED = "throttled"
    DAILY_CAP = "daily_cap"
    FILTERED = "filtered"
    TRANSIENT = "transient"
    AMBIGUOUS = "ambiguous"
    FRAUD_BLOCK = "fraud_block"
    QUIET_HOURS = "quiet_hours"
    EXPIRED = "expired"
    SANDBOXED = "sandboxed"
    UNKNOWN = "unknown"


class Reason(StrEnum):
    """Why a transition or an outcome came about. Error classes have reasons of the same name."""

    REQUESTED = "requested"
    SCHEDULED = "scheduled"
    TURN_GRANTED = "turn_granted"
    TAKEN = "taken"
    REPORTED = "reported"
    OPTED_OUT = "opted_out"
    CANCEL_REQUESTED = "cancel_requested"
    EXPIRED = "expired"
    NO_RECEIPT = "no_receipt"
    NO_ANSWER = "no_answer"
    INVALID_REQUEST = "invalid_request"
    TOO_MANY_OPEN = "too_many_open"
    CONFLICT = "conflict"
    ABANDONED = "abandoned"
    NUMBER_INVALID = "number_invalid"
    NUMBER_UNREACHABLE = "number_unreachable"
    SENDER_UNREACHABLE = "sender_unreachable"
    MMS_IMPOSSIBLE = "mms_impossible"
    REQUEST = "request"
    CONFIGURATION = "configuration"
    THROTTLED = "throttled"
    DAILY_CAP = "daily_cap"
    FILTERED = "filtered"
    TRANSIENT = "transient"
    AMBIGUOUS = "ambiguous"
    FRAUD_BLOCK = "fraud_block"
    QUIET_HOURS = "quiet_hours"
    SANDBOXED = "sandboxed"
    UNKNOWN = "unknown"
    FROZEN = "frozen"


class Proof(StrEnum):
    """What shows that a stopped lane works again: that Twilio takes its call, or that a carrier took the text."""

    TAKEN = "taken"
    SENT = "sent"


class Intent(StrEnum):
    """What an inbound text asks for, as far as consent goes."""

    STOP = "stop"
    START = "start"
    HELP = "help"
    NONE = "none"


class DueKind(StrEnum):
    """What a timer is for: of a message, but for `checkpoint`, which is the contact's.

    `look` and `recall` are no records: the lister asks Twilio's list, the caller back asks Twilio to cancel, and each
    writes what it was told.
    """

    START = "start"
    RETRY = "retry"
    EXPIRE = "expire"
    DOUBT = "doubt"
    LOOK = "look"
    RECALL = "recall"
    OUTCOME = "outcome"
    FORGET = "forget"
    CHECKPOINT = "checkpoint"


class LineType(StrEnum):
    """What kind of line a number is, as Twilio's Lookup has it."""

    MOBILE = "mobile"
    LANDLINE = "landline"
    FIXED_VOIP = "fixed_voip"
    NON_FIXED_VOIP = "non_fixed_voip"
    TOLL_FREE = "toll_free"
    OTHER = "other"


class Provenance(StrEnum):
    """How a fact about an attempt was learnt."""

    ANSWER = "answer"
    CALLBACK = "callback"
    RECONCILED = "reconciled"
