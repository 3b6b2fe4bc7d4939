"""Line types: whether a number can be texted at all, as Twilio's Lookup knows it, kept in the contact's row.

Who calls asks, between claim and create, where the request's policy says so and the row does not know; what was told
stands on the answer to the create call, so that a replay knows it too (`ops/decisions/0011`).
"""

from app.domain.model.contact import Contact
from app.domain.model.policy import Policy
from app.domain.model.vocabulary import LineType

# Numbers are ported between carriers, seldom between kinds of line.
KEPT_MS = 90 * 86_400_000
UNTEXTABLE = {LineType.LANDLINE}


def lookup_due(contact: Contact, policy: Policy | None, now_ms: int) -> bool:
    """Whether Twilio's Lookup is to be asked before a call to this contact."""
    if policy is None or not policy.lookup:
        return False
    return contact.line_type is None or now_ms - contact.line_ms >= KEPT_MS
