"""From a claimed message to the create call: the seal opened, the sender looked up, the callback URL made."""

from collections.abc import Mapping
from urllib.parse import urldefrag

from app import clock
from app.domain.contact import Message
from app.provider.port import Create
from app.records.seal import Sealer
from app.tenants import Tenant

MAX_VALIDITY_S = 36_000
# Twilio retries webhooks once, and only on a failed connection, unless the URL asks for more (connection overrides).
OVERRIDES = "rc=5&rp=all"


class Composer:
    """Knows tenants and the seal. `create` raises Unsealable, KeyError for a lane that is gone: faults of set-up."""

    def __init__(self, tenants: Mapping[str, Tenant], sealer: Sealer) -> None:
        self._tenants, self._sealer = tenants, sealer

    def create(self, message: Message, attempt: int) -> Create:
        """The call for one attempt."""
        assert message.policy is not None, "only an accepted request is claimed"
        tenant = self._tenants[message.tenant]
        lane = tenant.lanes[message.policy.lane]
        content = self._sealer.open_content(message.sealed, message.tenant, message.id)
        left_s = (message.policy.expires_ms - clock.now_ms()) // 1000
        return Create(
            to=content.to,
            body=content.body,
            media=content.media,
            status_callback=callback_url(tenant.status_callback_url, message.id, attempt),
            messaging_service_sid=lane.messaging_service_sid,
            from_number=lane.from_number,
            validity_s=max(1, min(MAX_VALIDITY_S, left_s)),
        )


def callback_url(public: str, message_id: str, attempt: int) -> str:
    """The attempt's StatusCallback: our ids in the query, under Twilio's signature; overrides in the fragment."""
    url, fragment = urldefrag(public)
    return f"{url}{'&' if '?' in url else '?'}m={message_id}&a={attempt}#{fragment or OVERRIDES}"
