"""What bites people, by name: a closed list. Each finding says what is wrong, where, and what to do about it."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from urllib.parse import urlsplit, urlunsplit

import msgspec


class Name(StrEnum):
    """The closed list of findings, by name."""

    TWILIO_UNREACHABLE = "twilio_unreachable"
    TWILIO_REFUSES = "twilio_refuses"
    TOKEN_NOT_OF_ACCOUNT = "token_not_of_account"  # noqa: S105 - a name
    TOKEN_DEAD = "token_dead"  # noqa: S105 - a name
    API_KEY_REFUSED = "api_key_refused"
    ACCOUNT_OTHER = "account_other"
    ACCOUNT_TEST = "account_test"
    ACCOUNT_SUSPENDED = "account_suspended"
    ACCOUNT_TRIAL = "account_trial"
    REGION_WRONG = "region_wrong"
    REGION_UNKNOWN = "region_unknown"
    URL_HTTP = "url_http"
    URL_MISSING = "url_missing"
    URL_MISMATCH = "url_mismatch"
    URL_METHOD = "url_method"
    URL_APPLICATION = "url_application"
    FALLBACK_MISSING = "fallback_missing"
    RETRIES_MISSING = "retries_missing"
    INBOUND_OFF = "inbound_off"
    SERVICE_UNKNOWN = "service_unknown"
    SERVICE_NOT_MADE = "service_not_made"
    SERVICE_EMPTY = "service_empty"
    NUMBER_UNKNOWN = "number_unknown"
    NUMBER_NOT_SMS = "number_not_sms"
    NUMBER_IN_NO_SERVICE = "number_in_no_service"
    CAMPAIGN_MISSING = "campaign_missing"
    CAMPAIGN_NOT_APPROVED = "campaign_not_approved"
    CAMPAIGN_DIFFERS = "campaign_differs"
    TOLL_FREE_NOT_VERIFIED = "toll_free_not_verified"
    SECRET_READABLE = "secret_readable"  # noqa: S105 - a name
    PROBE_UNREACHABLE = "probe_unreachable"
    PROBE_REFUSED = "probe_refused"
    PROBE_LOST = "probe_lost"


REMEDIES: Mapping[Name, str] = MappingProxyType(
    {
        Name.TWILIO_UNREACHABLE: "look at network, proxy and TLS on the way to Twilio, and at api_base_url",
        Name.TWILIO_REFUSES: "heliograph errors CODE tells what the code means",
        Name.TOKEN_NOT_OF_ACCOUNT: "copy SID and token from the same account and region of the Twilio console",
        Name.TOKEN_DEAD: "remove it from the configuration; after a promotion the old token is of no use",
        Name.API_KEY_REFUSED: "use a key that was made in this account and in this region, or none",
        Name.ACCOUNT_OTHER: "set account_sid to the account that is to send, or mend api_base_url",
        Name.ACCOUNT_TEST: "use live credentials; test credentials send nothing and call nothing back",
        Name.ACCOUNT_SUSPENDED: "nothing is sent: see the Twilio console for balance and notices, or ask their support",
        Name.ACCOUNT_TRIAL: "upgrade the account; until then only verified numbers can be texted (21608)",
        Name.REGION_WRONG: "set api_base_url (TWILIO_API_BASE_URL) to that region, or use credentials of this one",
        Name.REGION_UNKNOWN: "it is https://api.twilio.com, or https://api.EDGE.REGION.twilio.com for another region",
        Name.URL_HTTP: "use https: what is sent in clear can be read and changed on the way",
        Name.URL_MISSING: "heliograph twilio apply sets it, where the service or number is declared",
        Name.URL_MISMATCH: "heliograph twilio apply sets it, or correct the configured URL: the signature is over it",
        Name.URL_METHOD: "set it to POST: the door takes nothing else (heliograph twilio apply does it)",
        Name.URL_APPLICATION: "take the application off the number at Twilio: with it Twilio ignores the number's URLs",
        Name.FALLBACK_MISSING: "set a fallback URL, at best on another host: a text that the first misses is lost",
        Name.RETRIES_MISSING: "let the URL end in #rc=5&rp=all; else Twilio gives up after one lost connection",
        Name.INBOUND_OFF: "set the inbound URL: without one nobody's STOP is received (heliograph twilio apply)",
        Name.SERVICE_UNKNOWN: "correct the SID; heliograph twilio services list shows those of this account",
        Name.SERVICE_NOT_MADE: "heliograph twilio apply makes it and prints the SID for the tenants file",
        Name.SERVICE_EMPTY: "attach a number (numbers of the service, heliograph twilio apply): each send is refused",
        Name.NUMBER_UNKNOWN: "use a number of this account; a send from any other is refused (21606, 21659)",
        Name.NUMBER_NOT_SMS: "use a number that can send texts; from this one each send is refused (21606)",
        Name.NUMBER_IN_NO_SERVICE: "attach it to the service of an approved campaign, or carriers block it (30034)",
        Name.CAMPAIGN_MISSING: "register a US A2P 10DLC campaign for the service, or carriers block it (30034)",
        Name.CAMPAIGN_NOT_APPROVED: "wait for the approval or mend the campaign; until then carriers block it (30034)",
        Name.CAMPAIGN_DIFFERS: "correct campaign or use_case in the tenants file, or move the numbers",
        Name.TOLL_FREE_NOT_VERIFIED: "have it verified; until then texts to the US and Canada are blocked (30032)",
        Name.SECRET_READABLE: "chmod 600 it; in a container mount it with mode 0400",
        Name.PROBE_UNREACHABLE: "look at DNS, TLS, proxy and firewall in front of the ingress",
        Name.PROBE_REFUSED: "let the configured URL and the proxy agree on scheme, host, path and query",
        Name.PROBE_LOST: "look at the ingress: its spool, its Kafka, and its HELIOGRAPH_TOPIC_PREFIX",
    }
)


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """`where`: the field of the settings or of the tenant's table, or what it is at Twilio; `tenant` "": of all."""

    name: Name
    tenant: str
    where: str
    problem: str

    @property
    def todo(self) -> str:
        """What an operator does about it."""
        return REMEDIES[self.name]


def shown(url: str) -> str:
    """Without what may be a password."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(no URL)"
    host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"***@{host[2]}")) if host[1] else url
