"""`heliograph sign`: the signature that Twilio would send with a webhook, for curl."""

import hashlib
import os
import sys
from pathlib import Path
from urllib.parse import unquote_plus

import click

from app.cli.options.tenant import whose
from app.cli.output import say, say_json
from app.cli.process.exit_codes import give_up
from app.cli.process.start import settings_or_exit
from app.config import parsers
from app.config.tenants import Tenant


@click.command("sign")
@click.argument("url")
@click.argument("fields", nargs=-1, metavar="[FIELD=VALUE]...")
@click.option("--data", help="A JSON body instead of fields; @FILE reads it from a file, @- from standard input.")
@click.option("--tenant", help="Whose auth token signs; needed when there are several and none is called default.")
@click.option("--shared-key", "key", help="The id of a shared key of the tenant that signs, with HMAC-SHA256.")
@click.option("--sha256", is_flag=True, help="HMAC-SHA256, with the settings header that names it.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object: the headers; with --data, url and headers.")
def command(
    url: str,
    fields: tuple[str, ...],
    data: str | None,
    tenant: str | None,
    key: str | None,
    sha256: bool,
    as_json: bool,
) -> None:
    """Sign a webhook for testing. Prints the headers that make a webhook to URL valid with these
    form fields or this JSON body.

    URL is the public one that Twilio is told (its query included), whatever address curl then talks to. The first auth
    token of the tenant signs: TWILIO_AUTH_TOKEN, or auth_tokens of the tenants file. The token itself is never shown.
    For a JSON body the URL must carry its hash, in place of any that it has: the URL to use is said on standard error.

    \b
    Examples:
      heliograph sign https://hooks.example.com/twilio/inbound From=+14155550123 Body=STOP
      heliograph sign https://hooks.example.com/twilio/status MessageStatus=sent > headers.txt
      curl -H @headers.txt -d MessageStatus=sent http://127.0.0.1:8080/twilio/status
      heliograph sign https://hooks.example.com/twilio/status --data '{"MessageStatus":"sent"}' --json
    """
    from app.provider.webhooks import signature

    if data is not None and fields:
        give_up("--data: is instead of FIELD=VALUE, not with them")
    if rule := parsers.broken(parsers.url, url):
        give_up(f"URL: {rule}")
    _, tenants = settings_or_exit(dict(os.environ))
    secret, digest = _secret(tenants[whose(tenant, tenants)], key), "sha256" if sha256 or key else "sha1"
    asked = url.partition("#")[0]
    if data is not None:
        asked = _hashed(asked, _body(data))
    headers = {"X-Twilio-Signature": signature(secret, asked, _form(fields), digest)}
    if digest == "sha256":
        named = f"key={key}," if key else ""
        headers["X-Twilio-Webhooks-Signature-Settings"] = f"{named}algorithm=HMAC_SHA256"
    _tell(headers | ({"Content-Type": "application/json"} if data is not None else {}), asked, data, as_json)


def _tell(headers: dict[str, str], url: str, data: str | None, as_json: bool) -> None:
    if as_json:
        say_json(headers if data is None else {"url": url, "headers": headers})
        return
    if data is not None:
        say(f"post to {url}", err=True)
    for name, value in headers.items():
        say(f"{name}: {value}")


def _secret(tenant: Tenant, key: str | None) -> str:
    if key is not None:
        if key not in tenant.shared_keys:
            known = f"one of {', '.join(tenant.shared_keys)}" if tenant.shared_keys else "shared_keys is empty"
            give_up(f"--shared-key: there is no shared key {key}: {known}")
        return "".join(tenant.shared_keys[key])
    if not tenant.auth_tokens:
        give_up(f"tenant {tenant.name} has no auth token: set TWILIO_AUTH_TOKEN, or auth_tokens in the tenants file")
    return "".join(tenant.auth_tokens[0])


def _body(data: str) -> bytes:
    """As curl's --data-binary reads it."""
    if not data.startswith("@"):
        return data.encode("utf-8", "surrogateescape")
    try:
        return sys.stdin.buffer.read() if data == "@-" else Path(data[1:]).read_bytes()
    except OSError as error:
        give_up(f"--data: {data[1:]}: {error.strerror}")


def _hashed(url: str, body: bytes) -> str:
    """The URL with the hash of this body, in place of any that it has. Says so if no door takes such a body."""
    from app.provider.webhook_forms import WebhookFormError, read_json

    try:
        read_json(body)
    except WebhookFormError as bad:
        say(f"warning: --data: {bad.rule}: the ingress refuses it ({bad.status})", err=True)
    base, _, query = url.partition("?")
    parts = query.split("&") if query else []
    kept = [part for part in parts if unquote_plus(part.partition("=")[0]) != "bodySHA256"]
    return f"{base}?{'&'.join([*kept, f'bodySHA256={hashlib.sha256(body).hexdigest()}'])}"


def _form(fields: tuple[str, ...]) -> list[tuple[str, str]]:
    for field in fields:
        if "=" not in field:
            give_up(f"{field}: must be FIELD=VALUE")
    return [(name, value) for name, _, value in (field.partition("=") for field in fields)]
