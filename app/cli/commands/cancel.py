"""`heliograph cancel`: withdraw a message."""

import asyncio
import os
import sys

import click
import orjson

from app.cli.options.tenant import known
from app.cli.output import say, say_json
from app.cli.process.exit_codes import USAGE
from app.cli.process.start import reaching_kafka, settings_or_exit
from app.kafka.client import client_settings
from app.kafka.topic_io import produce
from app.records.requests import MESSAGE_ID
from app.records.topics import Topics


@click.command("cancel")
@click.argument("message_id")
@click.option("--tenant", help="Whose message; needed when there are several and none is called default.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(message_id: str, tenant: str | None, as_json: bool) -> None:
    """Cancel a message that was not sent yet. The outcome record states the result.

    \b
    Example:
      heliograph cancel 7a031076e4d2147aa60c-979f8995cb98fd500dc0
    """
    settings, tenants = settings_or_exit(dict(os.environ))
    if not MESSAGE_ID.match(message_id):
        say("error: MESSAGE_ID: must be 20 hex digits, a dash, 20 hex digits", err=True)
        sys.exit(USAGE)
    tenant = known(tenant, tenants, settings)
    topic = Topics(settings.topic_prefix, settings.group).requests_of(tenant)
    value = orjson.dumps({"type": "notify.canceled.v1", "message_id": message_id, "tenant": tenant})
    with reaching_kafka(settings):
        asyncio.run(produce([(topic, value)], client_settings(settings)))
    told = {"message_id": message_id, "tenant": tenant, "requested": True}
    say_json(told) if as_json else say("cancel requested")
