"""What a contact's row may hold: counts of each collection in it, and bytes of the row as it is encoded.

A request that finds as many active messages, or as much content of theirs, as may be is refused (`rejected`, reason
`too_many_open`). All else in the row is bounded by number, age or both, so a row has some 1 MB at most in practice.

Kafka takes a row only up to `max.message.bytes` of the changelog (2,097,152) and of topic `contacts` (2,228,224, where
a checkpoint carries it). An input that would make the row longer is refused; nothing else is harmed by it.

      ... GROWTH_BYTES      messages go on: answers, reports, turns, lists
      ... ROW_BYTES         what must not be refused: outcomes, timers, consent, checkpoints

The last step is far more than these can use: they write over what they wrote before, or end a message, which leaves the
row. So no outcome and no STOP is ever refused for the length of a row.
"""

import msgspec

from app.domain.model.contact import Contact, Message

# A batch of one record with a contact's id for its key has some 100 bytes around the row; a frozen row names its fault.
ROW_BYTES = 2_096_000
GROWTH_BYTES = 2_000_000

CANCEL_KEPT_MS = 24 * 3600 * 1000
MOST_CANCELS_AHEAD = 1_000
# What the requests of a contact's active messages brought, bytes as encoded; their number is the policy's `max_open`.
ACTIVE_BYTES = 256_000
# Attempts of messages that left the row lately, or may be confused with one whose SID is not known.
MOST_DEPARTED = 64
# Of one attempt: there are 11 ranks of progress, and Twilio gives an attempt one or two error codes.
MOST_STEPS = 24
# Texts on Twilio's list that may belong to attempts whose SID is not known.
MOST_LISTED = 100
KEPT_TEXTS = KEPT_FILTERED = 20
# STOP and START texts, remembered apart from ordinary ones: some 60 bytes each.
KEPT_CONSENT_TEXTS = 64
# As many as a tenant may ask for (`invalid_after`), for so long.
KEPT_FAILURES, FAILURES_KEPT_MS = 20, 30 * 86_400_000

encode_row = msgspec.json.Encoder().encode


def row_bytes(contact: Contact) -> int:
    """Length of the row as tables and checkpoints have it. Costs some 0.5 ms per MB."""
    return len(encode_row(contact))


def content_bytes(message: Message) -> int:
    """Length of all in the row that a request chose the length of, as encoded: a control character has 6 bytes."""
    return len(encode_row((message.sealed, message.sealed_to, message.sealed_caller_fields, message.traceparent)))
