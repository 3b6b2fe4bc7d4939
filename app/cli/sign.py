"""`heliograph sign`: the signature that Twilio would send with a webhook, for curl."""

import os

import click
import orjson

from app.cli import give_up, settings_or_exit


@click.command("sign")
@click.argument("url")
@click.argument("fields", nargs=-1, metavar="[FIELD=VALUE]...")
@click.option("--tenant", default="default", show_default=True, help="Whose auth token signs.")
@click.option("--sha256", is_flag=True, help="HMAC-SHA256, with the settings header that names it.")
@click.option("--json", "as_json", is_flag=True, help="The headers as one JSON object.")
def command(url: str, fields: tuple[str, ...], tenant: str, sha256: bool, as_json: bool) -> None:
    """Print the headers that make a webhook to URL with these form fields valid.

    URL is the public one that Twilio is told (its query included), whatever address curl then talks to. The first auth
    token of the tenant signs: TWILIO_AUTH_TOKEN, or auth_tokens of the tenants file. The token itself is never shown.

    \b
    Examples:
      heliograph sign https://hooks.example.com/twilio/inbound From=+14155550123 Body=STOP
      heliograph sign https://hooks.example.com/twilio/status MessageStatus=sent > headers.txt
      curl -H @headers.txt -d MessageStatus=sent http://127.0.0.1:8080/twilio/status
    """
    from app.provider.webhooks import signature

    _, tenants = settings_or_exit(dict(os.environ))
    if tenant not in tenants:
        give_up(f"--tenant: {tenant} is none of {', '.join(tenants)}")
    if not tenants[tenant].auth_tokens:
        give_up(f"tenant {tenant} has no auth token: set TWILIO_AUTH_TOKEN, or auth_tokens in the tenants file")
    token = "".join(tenants[tenant].auth_tokens[0])
    digest = "sha256" if sha256 else "sha1"
    headers = {"X-Twilio-Signature": signature(token, url.partition("#")[0], _form(fields), digest)}
    if sha256:
        headers["X-Twilio-Webhooks-Signature-Settings"] = "algorithm=HMAC_SHA256"
    click.echo(orjson.dumps(headers).decode() if as_json else "\n".join(f"{n}: {v}" for n, v in headers.items()))


def _form(fields: tuple[str, ...]) -> list[tuple[str, str]]:
    for field in fields:
        if "=" not in field:
            give_up(f"{field}: must be FIELD=VALUE")
    return [(name, value) for name, _, value in (field.partition("=") for field in fields)]
