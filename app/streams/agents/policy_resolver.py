"""The policy of a request, resolved once when it is read: deadlines, segments, retries, doubt."""

from datetime import datetime

from app import clock
from app.config.settings import Settings
from app.config.tenants import Tenant
from app.domain.content.segments import count, smart, with_link
from app.domain.model.policy import DOUBT_LOOK_AFTER_MS, LOOK_AFTER_MS, Policy
from app.domain.model.vocabulary import Category
from app.records.requests import NotifyRequested

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
EXPIRY_MS = {
    Category.OTP: 10 * MINUTE_MS,
    Category.ALERT: HOUR_MS,
    Category.TRANSACTIONAL: 24 * HOUR_MS,
    Category.MARKETING: 72 * HOUR_MS,
}
# Twilio holds a text from 5 min (older pages: 15) to 35 days ahead (35115); some time is left for it to get there.
LEAST_AHEAD_MS, MOST_AHEAD_MS = 16 * MINUTE_MS, 35 * 24 * HOUR_MS - HOUR_MS


class PolicyResolver:
    """Resolves by settings and tenant."""

    def __init__(self, settings: Settings) -> None:
        self._grace_ms = int(settings.outcome_grace_s * 1000)
        self._doubt_ms = int(settings.doubt_after_s * 1000)
        self._looks = _ms(settings.look_after_s, LOOK_AFTER_MS)
        self._doubt_looks = _ms(settings.doubt_look_after_s, DOUBT_LOOK_AFTER_MS)

    def resolve(self, request: NotifyRequested, tenant: Tenant, lane: str, now_ms: int) -> Policy:
        """`now_ms`: when the request was written (log time)."""
        start_ms = _epoch_ms(request.send_at) if request.send_at else 0
        begins = max(now_ms, start_ms)
        expires = _epoch_ms(request.expires_at) if request.expires_at else begins + EXPIRY_MS[request.category]
        link = request.media_fallback if request.media else ""
        encoded = smart if has_smart_encoding(tenant, lane) else str
        resend_s = tenant.resend_after_s.get(request.category.value)
        return Policy(
            lane=lane,
            priority=request.priority,
            category=request.category,
            segments=count(encoded(request.body)).parts,
            expires_ms=expires,
            outcome_ms=expires + self._grace_ms,
            start_ms=start_ms,
            handed_over=tenant.lanes[lane].schedule_at_twilio and LEAST_AHEAD_MS <= start_ms - now_ms <= MOST_AHEAD_MS,
            retry_delays_ms=tuple(int(delay * 1000) for delay in tenant.retry_delays_s),
            doubt_after_ms=self._doubt_ms,
            resend_after_ms=None if resend_s is None else int(resend_s * 1000),
            look_after_ms=self._looks,
            lookup=_lookup(request, tenant),
            doubt_look_after_ms=self._doubt_looks,
            fallback_segments=count(encoded(with_link(request.body, link))).parts if link else 0,
        )


def has_smart_encoding(tenant: Tenant, lane_name: str) -> bool:
    """Whether Twilio replaces typographic characters of this lane's texts before it counts their segments.

    What the create call says goes before what the lane and its service say. A Messaging Service has it unless it was
    switched off (Twilio, Messaging Services, "Smart Encoding"); a number without a service has it not.
    """
    lane = tenant.lanes[lane_name]
    service = tenant.services[lane.service].smart_encoding if lane.service in tenant.services else None
    said = (tenant.parameters(lane_name).smart_encoded, lane.smart_encoding, service)
    return next((on for on in said if on is not None), bool(lane.messaging_service_sid or lane.service))


def _epoch_ms(at: datetime) -> int:
    """Milliseconds since the epoch; what lies before it counts as 0, what UTC cannot write (9999-12-31T23:59:59-01:00)
    as the last time that it can."""
    return min(max(0, int(at.timestamp() * 1000)), clock.LATEST_MS)


def _lookup(request: NotifyRequested, tenant: Tenant) -> bool:
    before = tenant.lookup.get(request.category.value)
    return before == "first" or (before == "mms" and bool(request.media))


def _ms(durations_s: tuple[float, ...], default: tuple[int, ...]) -> tuple[int, ...]:
    """In ms; the default itself where it is equal, so that rows need not hold it."""
    found = tuple(int(duration * 1000) for duration in durations_s)
    return default if found == default else found
