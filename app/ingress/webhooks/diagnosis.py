"""Which mistake of set-up would explain a signature that does not fit: tried off the hot path, on what was seen.

Twilio signed some URL with some secret. If another URL, form or secret than the configured one fits, a secret that we
hold says that this came from Twilio, and what differs is what an operator must mend. Nothing is accepted for it.
"""

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from itertools import islice, product
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

import msgspec

from app.ingress.webhooks.routes import Kind, WebhookRoute
from app.provider.webhook_forms import Form
from app.provider.webhooks import DIGESTS, body_hash, variants, verified

MOST_TENANTS = 500
# Two mistakes at once are tried, three are not.
MOST_AT_ONCE = 2
PREFIXES = ("/hooks", "/hook", "/webhooks", "/webhook", "/api", "/twilio", "/sms", "/heliograph", "/public", "/v1")
# Sent empty as a rule, so dropped by whatever parses without keeping blanks (Twilio: request parameters).
OFTEN_BLANK = tuple(f"{side}{part}" for side in ("From", "To") for part in ("City", "State", "Zip", "Country"))
TRIMMED = (" ", "\n", "\r\n", "  ")


class Misconfiguration(StrEnum):
    """A cause of an invalid signature. A closed list, because it is a metric label."""

    SCHEME = "scheme"
    HOST = "host"
    PORT = "port"
    PREFIX = "prefix"
    SLASH = "slash"
    QUERY = "query"
    ROUTE = "route"
    BLANKS = "blanks"
    ALGORITHM = "algorithm"
    BODY = "body"
    OTHER_SECRET = "other_secret"  # noqa: S105 - a name
    OTHER_TENANT = "other_tenant"
    UNKNOWN = "unknown"


HINTS: Mapping[Misconfiguration, str] = {
    Misconfiguration.SCHEME: "Twilio signed {scheme}:, the configured URL says otherwise",
    Misconfiguration.HOST: "Twilio is told host {host}, the configured URL names another",
    Misconfiguration.PORT: "the port that Twilio is told and that of the configured URL differ",
    Misconfiguration.PREFIX: "Twilio is told {path}, the configured URL has another path: does a proxy strip a prefix?",
    Misconfiguration.SLASH: "Twilio is told {path}, the configured URL differs by a slash",
    Misconfiguration.QUERY: "something on the way drops or rewrites the query",
    Misconfiguration.ROUTE: "Twilio is told the URL of another webhook of this tenant ({path})",
    Misconfiguration.BLANKS: "something on the way drops empty fields or trims blanks off values",
    Misconfiguration.ALGORITHM: "something on the way drops or changes X-Twilio-Webhooks-Signature-Settings",
    Misconfiguration.BODY: "the URL is as Twilio signed it, the JSON is not: a body rewritten on the way, or replayed",
    Misconfiguration.OTHER_SECRET: "signed with the API key secret: webhooks need the auth token or a shared key",
    Misconfiguration.OTHER_TENANT: "a valid webhook of another tenant came here",
    Misconfiguration.UNKNOWN: "no secret that we hold fits any URL we can think of: an old auth token, or not Twilio",
}


class RefusedWebhook(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook that was refused. `path`, `query`: raw, as they came; `headers`: those of a proxy, by lower-case name;
    `form`: empty for JSON, whose URL alone is signed, and has the `body_sha256`; `digest`: "" if the header names none
    that we know; `hook`: whose it would be."""

    kind: Kind
    path: str
    query: str
    headers: Mapping[str, str]
    form: Form
    body_sha256: str = ""
    given: str
    digest: str
    hook: WebhookRoute | None

    def __repr__(self) -> str:
        return "<Seen>"


class SignatureDiagnosis(NamedTuple):
    """`mistakes`: the causes found; `hints`: advice for an operator; `tenant`: whose secret signed it, or ""."""

    mistakes: tuple[Misconfiguration, ...]
    hints: tuple[str, ...] = ()
    tenant: str = ""


Option = tuple[str, Misconfiguration | None]


def explain(seen: RefusedWebhook, hooks: Iterable[WebhookRoute]) -> SignatureDiagnosis:
    """Find the smallest set of causes under which a secret that we hold signed the webhook. At most a few thousand
    HMACs."""
    others = list(islice((hook for hook in hooks if hook is not seen.hook), MOST_TENANTS))
    found = (_own(seen, seen.hook) if seen.hook is not None else None) or _of_another(seen, others)
    return found or SignatureDiagnosis((Misconfiguration.UNKNOWN,), (HINTS[Misconfiguration.UNKNOWN],))


def _own(seen: RefusedWebhook, hook: WebhookRoute) -> SignatureDiagnosis | None:
    """Mistakes within the tenant it would be of."""
    live, urls = hook.keys.live(""), list(_urls(seen, hook))
    tries = [(live, urls, form, seen.digest, why) for form, why in ((seen.form, ()), *_forms(seen.form)) if seen.digest]
    tries += [(live, urls[:1], seen.form, digest, (Misconfiguration.ALGORITHM,)) for digest in DIGESTS.values()]
    other = tuple(filter(None, ("".join(hook.tenant.api_key_secret),)))
    tries.append((other, urls[:1], seen.form, seen.digest, (Misconfiguration.OTHER_SECRET,)))
    for secrets, candidates, form, digest, more in tries:
        for url, mistakes in candidates[: 1 if more else None]:
            if verified(secrets, seen.given, variants(url), form, digest):
                return _explained((*mistakes, *more, *_of_body(seen, url)) or (Misconfiguration.ALGORITHM,), url, hook)
    return None


def _of_body(seen: RefusedWebhook, url: str) -> tuple[Misconfiguration, ...]:
    """That of JSON is not signed, but its hash in the URL."""
    same = not seen.body_sha256 or body_hash(url.partition("?")[2]) == seen.body_sha256
    return () if same else (Misconfiguration.BODY,)


def _of_another(seen: RefusedWebhook, others: Iterable[WebhookRoute]) -> SignatureDiagnosis | None:
    for hook in others:
        for configured in hook.urls[seen.kind][:1]:
            for url in (configured, *(seen.hook.urls[seen.kind] if seen.hook else ())):
                signed = url + (f"?{seen.query}" if seen.query else "")
                if verified(hook.keys.live(""), seen.given, variants(signed), seen.form, seen.digest):
                    return _explained((Misconfiguration.OTHER_TENANT, *_of_body(seen, signed)), signed, hook)
    return None


def _explained(mistakes: tuple[Misconfiguration, ...], url: str, hook: WebhookRoute) -> SignatureDiagnosis:
    """The URL is one that Twilio signed, so it may be shown, without its query."""
    parts = urlsplit(url)
    told = {"scheme": parts.scheme, "host": parts.hostname or "", "path": parts.path}
    return SignatureDiagnosis(mistakes, tuple(HINTS[mistake].format(**told) for mistake in mistakes), hook.tenant.name)


def _urls(seen: RefusedWebhook, hook: WebhookRoute) -> Iterator[tuple[str, tuple[Misconfiguration, ...]]]:
    """The configured URL, then those that are one mistake away, then two."""
    if not hook.urls[seen.kind]:
        return
    configured = urlsplit(hook.urls[seen.kind][0])
    parts = (
        _schemes(configured.scheme),
        _differing(configured.hostname or "", _hosts(seen.headers), Misconfiguration.HOST),
        _differing(f":{configured.port}" if configured.port else "", _ports(seen.headers), Misconfiguration.PORT),
        _paths(configured.path, seen, hook),
        _queries(seen.query),
    )
    found = []
    for (scheme, a), (host, b), (port, c), (path, d), (query, e) in product(*parts):
        mistakes = tuple(mistake for mistake in (a, b, c, d, e) if mistake is not None)
        if len(mistakes) <= MOST_AT_ONCE:
            found.append((f"{scheme}://{host}{port}{path}{query}", mistakes))
    yield from sorted(found, key=lambda row: len(row[1]))


def _differing(own: str, others: Iterable[str], mistake: Misconfiguration) -> list[Option]:
    return [(own, None), *((other, mistake) for other in dict.fromkeys(others) if other != own)]


def _schemes(own: str) -> list[Option]:
    return _differing(own, ("https", "http"), Misconfiguration.SCHEME)


def _authorities(headers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Host and port of the request, as it came here and as a proxy says that it came there."""
    for name in ("host", "x-forwarded-host"):
        host, _, port = headers.get(name, "").partition(",")[0].strip().partition(":")
        if host:
            yield host, port


def _hosts(headers: Mapping[str, str]) -> Iterator[str]:
    return (host for host, _ in _authorities(headers))


def _ports(headers: Mapping[str, str]) -> Iterator[str]:
    named = [headers.get("x-forwarded-port", ""), *(port for _, port in _authorities(headers))]
    return (f":{port}" if port else "" for port in [*named, ""])


def _paths(own: str, seen: RefusedWebhook, hook: WebhookRoute) -> list[Option]:
    named = seen.headers.get("x-forwarded-prefix", "").rstrip("/")
    ours = {urlsplit(url).path.partition("/twilio/")[0] for urls in hook.urls.values() for url in urls[:1]}
    bases = dict.fromkeys((own, seen.path))
    prefixed = [
        f"{prefix}{base}" for prefix in (*filter(None, ours), *filter(None, (named,)), *PREFIXES) for base in bases
    ]
    cut = [own[len(prefix) :] for prefix in {*ours, *PREFIXES} if prefix and own.startswith(f"{prefix}/")]
    routes = [urlsplit(url).path for kind, urls in hook.urls.items() for url in urls[:1] if kind is not seen.kind]
    slashed = [own.rstrip("/") if own.endswith("/") else f"{own}/", own.replace("//", "/"), f"/{own}"]
    options = _differing(own, slashed, Misconfiguration.SLASH)
    options += _differing(own, routes, Misconfiguration.ROUTE)[1:]
    return options + _differing(own, (seen.path, *prefixed, *cut), Misconfiguration.PREFIX)[1:]


def _queries(query: str) -> list[Option]:
    own = f"?{query}" if query else ""
    return _differing(own, ("", f"?{unquote(query)}", f"?{quote(unquote(query), safe='=&')}"), Misconfiguration.QUERY)


def _forms(form: Form) -> Iterator[tuple[Form, tuple[Misconfiguration, ...]]]:
    """With the blanks back that something on the way may have taken."""
    names = {name for name, _ in form}
    missing = [(name, "") for name in OFTEN_BLANK if name not in names]
    if form and missing:
        yield [*form, *missing], (Misconfiguration.BLANKS,)
    body = dict(form).get("Body")
    if body is not None:
        rest = [field for field in form if field[0] != "Body"]
        for text in (*(body + blank for blank in TRIMMED), *(blank + body for blank in TRIMMED), f" {body} "):
            yield [*rest, ("Body", text)], (Misconfiguration.BLANKS,)
