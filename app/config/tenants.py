"""Tenants: whose traffic, credentials and consent stay apart. From one TOML file, or one tenant from TWILIO_* alone.

[tenants.acme]
account_sid = "AC..."
auth_tokens = ["..."]            # or auth_tokens_file = "/run/secrets/acme" (see ops/README.md)
status_callback_url = "https://hooks.example.com/twilio/acme/status"
inbound_url = "https://hooks.example.com/twilio/acme/inbound"
resend_after_s = {alert = 120}   # by category: an attempt in doubt is sent again after so many seconds; else never
stop_words = ["ARRET", "ALTO"]   # further words that mean STOP as the whole text, in any case, accents and punctuation
shared_requests = true           # its requests may come on topic notify.requests too, where any producer may name it
invalid_after = {30003 = 5, 30005 = 3}   # messages that end so before a number is invalid, 0: never; these if not set
[tenants.acme.lanes.main]
messaging_service_sid = "MG..."
rate = 10                        # segments a second, 0 = no limit
schedule_at_twilio = true        # what has a send_at waits there, not here
smart_encoding = false           # the service has it switched off; segments are counted so
[tenants.acme.lanes.vip]
messaging_service_sid = "MG..."
from_number = "+14155550100"     # a sender of that service,
pinned = true                    # and no other: every text of this lane comes from it
[tenants.acme.create]            # parameters of the create call, see app/config/create_parameters.py; lanes too
[tenants.staging]                # texts nobody but these: a request to anybody else is rejected
mode = "sandbox"
allow = ["+14155550123"]

A lane may name a service of the file instead: service = "main". Services and numbers to be set up: see
app.config.twilio_account.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from app.config import parsers, toml_tables, twilio_account
from app.config.create_parameters import (
    InvalidAfter,
    Parameters,
    faults_of,
    never_again,
    no_category,
    not_counted,
    sandbox_faults,
    sender_fault,
)
from app.config.environment import PLAIN_KEYS
from app.config.parsers import LANE_SHAPES, TENANT_SHAPES, Secret, tenant_name_faults
from app.config.settings import FIELDS, Settings, SettingsError
from app.domain.content.keywords import own_word_fault
from app.domain.content.phone import mask, read_address

NotNegative = Annotated[float, Meta(ge=0)]


class LaneConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One sender's line. `rate` and `burst` in segments (a second); burst 0 means twice the rate. `service`: of the
    file, whose SID is then this lane's. `pinned`: of the service's senders `from_number` alone; `schedule_at_twilio`:
    what has a `send_at` is given to Twilio ahead of it; `smart_encoding`: as its service has it; `create`: parameters
    of its own, over the tenant's."""

    messaging_service_sid: str = ""
    from_number: str = ""
    service: str = ""
    pinned: bool = False
    schedule_at_twilio: bool = False
    smart_encoding: bool | None = None
    create: Parameters = Parameters()
    rate: NotNegative = 10.0
    burst: NotNegative = 0.0

    @property
    def room(self) -> float:
        """The burst in force."""
        return self.burst or max(1.0, 2 * self.rate)


BELOW: Mapping[str, type[msgspec.Struct]] = {
    "lanes": LaneConfig,
    "services": twilio_account.ServiceConfig,
    "numbers": twilio_account.NumberConfig,
}


class Tenant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`resend_after_s`: seconds in doubt until a further attempt, which may come twice; a category that
    is not named is only reported, marketing always. `allow`: whom a sandbox may text, canonical addresses. `lookup`: by
    category, ask for the line type before the first text to a number, or before an MMS. `shared_requests`: whether a
    record on the shared request topic may name it."""

    name: str = ""
    account_sid: str = ""
    auth_tokens: tuple[str, ...] = ()
    auth_tokens_file: str = ""
    shared_keys: dict[str, str] = {}
    shared_keys_file: str = ""
    api_key_sid: str = ""
    api_key_secret: str = ""
    status_callback_url: str = ""
    inbound_url: str = ""
    webhook_overrides: str = "rc=5&rp=all"
    api_base_url: str = ""
    keyword_replies: str = "twilio"
    help_text: str = "Reply STOP to stop messages."
    strict_numbers: bool = False
    default_lane: str = ""
    lanes: dict[str, LaneConfig] = {}
    stop_words: tuple[str, ...] = ()
    retry_delays_s: tuple[NotNegative, ...] = (30.0, 120.0)
    resend_after_s: dict[str, NotNegative] = {}
    invalid_after: InvalidAfter = {}
    services: dict[str, twilio_account.ServiceConfig] = {}
    numbers: dict[str, twilio_account.NumberConfig] = {}
    mode: Literal["live", "sandbox"] = "live"
    allow: tuple[str, ...] = ()
    lookup: dict[str, Literal["first", "mms"]] = {}
    shared_requests: bool = False
    create: Parameters = Parameters()

    @property
    def lane(self) -> str:
        """The lane of a request that names none."""
        return self.default_lane or next(iter(self.lanes), "")

    def public_url(self, url: str, query: str = "") -> str:
        """The URL to give to Twilio: `url` with `query` added, then its own fragment or else `webhook_overrides`."""
        base, _, own = url.partition("#")
        asked = f"{base}{'&' if '?' in base else '?'}{query}" if query else base
        return f"{asked}#{own or self.webhook_overrides}".removesuffix("#")

    @property
    def at_twilio(self) -> bool:
        """Whether its calls reach Twilio itself, any region: that is where they go when no other server is named."""
        try:
            host = urlsplit(self.api_base_url).hostname or ""
        except ValueError:
            return False  # no URL, which is a fault of the settings
        return not self.api_base_url or host == "twilio.com" or host.endswith(".twilio.com")

    def may_text(self, address: str) -> bool:
        """Whether this canonical address may be texted at all: a sandbox knows whom it may text."""
        return self.mode != "sandbox" or address in self.allow

    @property
    def credentials(self) -> tuple[str, str]:
        """What its calls log in with, in clear: the API key, or the account with the first of its auth tokens. Only the
        tokens verify webhooks."""
        if self.api_key_sid:
            return self.api_key_sid, "".join(self.api_key_secret)
        return self.account_sid, "".join(self.auth_tokens[0]) if self.auth_tokens else ""

    @property
    def allowed(self) -> tuple[str, ...]:
        """The allow list as it may be shown."""
        return tuple(mask("".join(address)) for address in self.allow)

    def parameters(self, lane: str) -> Parameters:
        """What the create calls of this lane bear beside recipient, content, sender and deadline."""
        return self.lanes[lane].create.over(self.create)


Tenants = Mapping[str, Tenant]


def read_tenants(settings: Settings) -> dict[str, Tenant]:
    """Return the tenants by name. Raises SettingsError with all faults, each naming file, table and field."""
    tenants, faults = load_tenants(settings)
    if faults:
        raise SettingsError(faults)
    return tenants


def load_tenants(settings: Settings, prior: Sequence[str] = ()) -> tuple[dict[str, Tenant], tuple[str, ...]]:
    """Return the tenants by name, as far as they can be read, and all faults. `prior`: faults of `settings`."""
    if not settings.config:
        mode = "" if toml_tables.unread(prior, "HELIOGRAPH_MODE") else settings.mode
        rules = sandbox_faults(mode, [number.reveal() for number in settings.allow])
        faults = [f"HELIOGRAPH_{name.upper()}: {rule}" for name, rule in rules]
        return {"default": _default(settings)}, (*_setting_faults(settings, {**TENANT_SHAPES, **LANE_SHAPES}), *faults)
    faults = []
    given = toml_tables.of_tenants(settings.config, faults)
    tenants = {name: _tenant(f"tenants.{name}", {**table, "name": name}, settings, faults) for name, table in given}
    if not (tenants or faults):
        faults.append("has no [tenants.NAME] table")
    faults += [f"tenants.{name}: {rule}" for name, rule in tenant_name_faults(list(tenants), settings.topic_prefix)]
    inherited = (*_setting_faults(settings, {"api_base_url": parsers.server}), *_ignored_settings(settings))
    return tenants, tuple(f"HELIOGRAPH_CONFIG: {settings.config}: {fault}" for fault in faults) + inherited


def _ignored_settings(settings: Settings) -> Iterator[str]:
    """Sandbox settings that a tenants file ignores: believing in them, an operator would text real recipients."""
    if settings.mode == "sandbox" or settings.allow:
        yield "HELIOGRAPH_MODE, HELIOGRAPH_ALLOW: are of a tenant from TWILIO_*; in the tenants file each has its own"


def _setting_faults(settings: Settings, shapes: Mapping[str, Callable[[str], str]]) -> tuple[str, ...]:
    """Faults of TWILIO_* by the name of the setting."""
    names = {field.name: field.env for field in FIELDS}
    known = {name: read for name, read in shapes.items() if name in names}
    return tuple(f"{names[name]}: {rule}" for name, rule in toml_tables.misshapen(settings, known))


def _default(settings: Settings) -> Tenant:
    lane = LaneConfig(
        messaging_service_sid=settings.messaging_service_sid,
        from_number="" if settings.messaging_service_sid else settings.from_number,
        rate=settings.rate,
    )
    return Tenant(
        name="default",
        account_sid=settings.account_sid,
        auth_tokens=settings.auth_tokens,
        api_key_sid=settings.api_key_sid,
        api_key_secret=settings.api_key_secret,
        status_callback_url=settings.status_callback_url,
        inbound_url=settings.inbound_url,
        api_base_url=settings.api_base_url,
        keyword_replies=settings.keyword_replies,
        mode=settings.mode,
        shared_requests=True,
        allow=_canonical([number.reveal() for number in settings.allow]),
        lanes={"default": lane},
    )


def _tenant(where: str, table: dict[str, Any], settings: Settings, faults: list[str]) -> Tenant:
    if table.pop("api_keys", None) is not None:
        faults.append(f"{where}.api_keys: {PLAIN_KEYS}")
    below = {name: toml_tables.below(where, table, name, kind, faults) for name, kind in BELOW.items()}
    tenant = toml_tables.struct(where, {**table, **below}, Tenant, faults)
    tokens = toml_tables.words(f"{where}.auth_tokens_file", tenant.auth_tokens_file, faults) or tenant.auth_tokens
    shared = tenant.shared_keys | toml_tables.pairs(f"{where}.shared_keys_file", tenant.shared_keys_file, faults)
    faults += _faults(where, tenant, tuple(faults))
    return msgspec.structs.replace(
        tenant,
        auth_tokens=tuple(Secret(token) for token in tokens),
        shared_keys={key: Secret(secret) for key, secret in shared.items()},
        api_key_secret=Secret(tenant.api_key_secret),
        api_base_url=tenant.api_base_url or settings.api_base_url,
        lanes={name: _resolved(lane, tenant.services) for name, lane in tenant.lanes.items()},
        allow=_canonical(tenant.allow),
    )


def _canonical(numbers: Sequence[str]) -> tuple[Secret, ...]:
    """Hidden as secrets are: they are people's numbers."""
    return tuple(Secret(read_address(number).canonical) for number in numbers)


def _resolved(lane: LaneConfig, services: Mapping[str, twilio_account.ServiceConfig]) -> LaneConfig:
    """With the SID of the service it names, as far as that is known."""
    if lane.service not in services or lane.messaging_service_sid:
        return lane
    return msgspec.structs.replace(lane, messaging_service_sid=services[lane.service].sid)


def _faults(where: str, tenant: Tenant, prior: tuple[str, ...]) -> list[str]:
    """Rules between fields that are broken. `prior`: faults of fields that could not be read, which break no rule."""
    faults = [f"{where}.{name}: {rule}" for name, rule in toml_tables.misshapen(tenant, TENANT_SHAPES)]
    if not (tenant.lanes or toml_tables.unread(prior, f"{where}.lanes")):
        faults.append(f"{where}.lanes: needs at least one lane")
    if tenant.lanes and tenant.default_lane and tenant.default_lane not in tenant.lanes:
        faults.append(f"{where}.default_lane: is not one of its lanes")
    if tenant.keyword_replies not in ("twilio", "heliograph"):
        faults.append(f"{where}.keyword_replies: must be twilio or heliograph")
    for name, lane in tenant.lanes.items():
        faults += _lane_faults(f"{where}.lanes.{name}", lane, prior)
        if lane.service and lane.service not in tenant.services and not toml_tables.unread(prior, f"{where}.services"):
            faults.append(f"{where}.lanes.{name}.service: is not one of its services")
    faults += [f"{where}.{fault}" for fault in twilio_account.faults(tenant.services, tenant.numbers)]
    faults += [f"{where}.create.{name}: {rule}" for name, rule in faults_of(tenant.create)]
    mode = "" if toml_tables.unread(prior, where, "mode") else tenant.mode
    faults += [f"{where}.{name}: {rule}" for name, rule in sandbox_faults(mode, tenant.allow)]
    uncounted = {code: not_counted(code) for code in tenant.invalid_after}
    faults += [f"{where}.invalid_after.{code}: {rule}" for code, rule in uncounted.items() if rule]
    faults += [f"{where}.lookup.{name}: {rule}" for name in tenant.lookup if (rule := no_category(name))]
    words = [own_word_fault(word) for word in tenant.stop_words]
    faults += [f"{where}.stop_words[{at}]: {rule}" for at, rule in enumerate(words) if rule]
    resends = {name: never_again(name) for name in tenant.resend_after_s}
    return faults + [f"{where}.resend_after_s.{name}: {rule}" for name, rule in resends.items() if rule]


def _lane_faults(where: str, lane: LaneConfig, prior: tuple[str, ...]) -> list[str]:
    """A sender that could not be read is not missing."""
    faults = [f"{where}.{name}: {rule}" for name, rule in toml_tables.misshapen(lane, LANE_SHAPES)]
    service = lane.messaging_service_sid or lane.service
    faults += [f"{where}.create.{name}: {rule}" for name, rule in faults_of(lane.create)]
    needs_service = {"create.shorten_urls": lane.create.shorten_urls, "schedule_at_twilio": lane.schedule_at_twilio}
    needs_service["smart_encoding"] = bool(lane.smart_encoding)
    if not (service or toml_tables.unread(prior, where, "messaging_service_sid", "service")):
        faults += [f"{where}.{name}: needs a messaging_service_sid" for name, on in needs_service.items() if on]
    rule = sender_fault(service, lane.from_number, lane.pinned)
    if rule and not toml_tables.unread(prior, where, *LANE_SHAPES, "service", "pinned"):
        faults.append(f"{where}: {rule}")
    if lane.messaging_service_sid and lane.service:
        faults.append(f"{where}.service: is a messaging_service_sid by name: one of them")
    return faults
