"""The policy of a request: what was resolved for it when it was read."""

import msgspec

from app.domain.words import Category, Priority


class Policy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What was resolved for a request when it was read: nothing here is looked up again.

    Times are ms since the epoch or ms; `retry_delays_ms` has one entry per allowed retry; `claim_ttl_ms` and
    `doubt_after_ms` are durations from the claim; `resend_after_ms` is None unless the tenant chose to resend.
    """

    lane: str
    priority: Priority
    category: Category
    segments: int
    expires_ms: int
    outcome_ms: int
    start_ms: int = 0
    retry_delays_ms: tuple[int, ...] = ()
    doubt_after_ms: int = 60_000
    archive_after_ms: int = 86_400_000
    forget_after_ms: int = 2_592_000_000
    max_open: int = 200
    resend_after_ms: int | None = None
