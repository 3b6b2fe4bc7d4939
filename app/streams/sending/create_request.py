"""From a claimed message to the create call: seal opened, sender and parameters looked up, callback URL made."""

from collections.abc import Callable, Mapping

from app import clock
from app.config.tenants import Tenant
from app.domain.content.segments import with_link
from app.domain.handlers.attempts import TOO_NEAR
from app.domain.model.contact import Message
from app.domain.model.vocabulary import ErrorClass, Reason
from app.provider.provider_api import CreateNotSent, CreateRejected, CreateRequest
from app.records.seal import Sealer

MAX_VALIDITY_S = 36_000
# Twilio: 5 min, older pages 15 (error 35115).
LEAST_AHEAD_MS = 900_000
# What our clock may be behind the log's, by which the message's time has come.
ORDINARY_SKEW_MS = 5_000
PASSED_ON = (
    "content_retention",
    "address_retention",
    "smart_encoded",
    "risk_check",
    "application_sid",
    "provide_feedback",
    "max_price",
)


class CreateRequestBuilder:
    """Knows tenants and the seal. `create` raises Unsealable, KeyError for a lane that is gone: faults of set-up."""

    def __init__(self, tenants: Mapping[str, Tenant], sealer: Sealer, now_ms: Callable[[], int] = clock.now_ms) -> None:
        self._tenants, self._sealer, self._now_ms = tenants, sealer, now_ms

    def create(self, message: Message, attempt: int) -> CreateRequest | CreateRejected | CreateNotSent:
        """The call for one attempt; Abandoned if its time is over, Refused if a sandbox may not text this person."""
        assert message.policy is not None, "only an accepted request is claimed"
        tenant = self._tenants[message.tenant]
        lane, given = tenant.lanes[message.policy.lane], tenant.parameters(message.policy.lane)
        policy, now = message.policy, self._now_ms()
        if policy.expires_ms <= now:
            return CreateNotSent(why=Reason.EXPIRED)
        # Handed over ahead of its time; one that came too late for that waits here.
        ahead_ms = policy.start_ms - now if policy.handed_over else 0
        if ORDINARY_SKEW_MS < ahead_ms < LEAST_AHEAD_MS:
            return CreateNotSent(why=TOO_NEAR)
        held_ms = ahead_ms if ahead_ms >= LEAST_AHEAD_MS else 0
        content = self._sealer.open_content(message.sealed, message.tenant, message.id)
        # The door rejects them. Whatever came past it, or before the tenant became a sandbox, ends here.
        if not tenant.may_text(content.to):
            return CreateRejected(code=None, error=ErrorClass.SANDBOXED, http_status=0)
        plain = any(made.plain for made in message.attempts if made.n == attempt)
        return CreateRequest(
            to=content.to,
            body=with_link(content.body, content.link) if plain else content.body,
            media=() if plain else content.media,
            status_callback=callback_url(tenant, message.id, attempt),
            messaging_service_sid=lane.messaging_service_sid,
            from_number=lane.from_number,
            validity_s=max(1, min(MAX_VALIDITY_S, (policy.expires_ms - now - held_ms) // 1000)),
            send_at_ms=policy.start_ms if held_ms else 0,
            message_intent=given.message_intent.get(message.policy.category, ""),
            # Twilio refuses it of a call without a service.
            shorten_urls=given.shorten_urls if lane.messaging_service_sid else None,
            **{name: getattr(given, name) for name in PASSED_ON},
        )

    def invalid_after(self, tenant: str) -> Mapping[str, int]:
        """By code: after so many failures a number is invalid; what the tenant does not say is as usual."""
        return self._tenants[tenant].invalid_after if tenant in self._tenants else {}


def callback_url(tenant: Tenant, message_id: str, attempt: int) -> str:
    """The attempt's StatusCallback: our ids in the query, under Twilio's signature; overrides in the fragment."""
    return tenant.public_url(tenant.status_callback_url, f"m={message_id}&a={attempt}")
