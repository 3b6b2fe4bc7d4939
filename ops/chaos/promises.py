"""What is promised of a record that the harness produces as poison."""

from enum import StrEnum


class Promise(StrEnum):
    """`key` of a diary line is the idempotency key; for CANCELED it is the message id."""

    TEXTED = "texted"  # one outcome for each recipient, and a call was at least attempted
    OUTCOME = "outcome"  # one outcome for each recipient, whatever it says
    REJECTED = "rejected"  # one outcome for each recipient, which says `rejected`
    DEAD_LETTER = "dead_letter"  # the record is in a dead letter
    ANSWERED = "answered"  # an outcome or a dead letter
    CANCELED = "canceled"  # a cancel without a message: kept, as an update says, or a dead letter
    NEVER = "never"  # of an aborted transaction: no trace of it anywhere


# With one of these each recipient has exactly one outcome.
WITH_OUTCOMES = (Promise.TEXTED, Promise.OUTCOME, Promise.REJECTED)
