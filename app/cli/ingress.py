"""`heliograph ingress`: the public door."""

import asyncio
import gc
import os
import signal

import click
import orjson

from app import kafka, telemetry
from app.cli import give_up, settings_or_exit


@click.command("ingress")
@click.option("--host", default="127.0.0.1", show_default=True, help="0.0.0.0 behind a proxy in a container.")
@click.option("--port", type=int, default=None, help="Default: PORT.")
@click.option("--internal-port", type=int, default=None, help="Default: HELIOGRAPH_INTERNAL_PORT.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line when ready.")
def command(host: str, port: int | None, internal_port: int | None, as_json: bool) -> None:
    """Take Twilio's webhooks and /v1/messages; answer once the record is on the log, or fsynced in the spool.

    \b
    Example:
      heliograph ingress --port 8080 --internal-port 9101
    """
    settings, tenants = settings_or_exit(dict(os.environ), keys=True)
    telemetry.configure(settings.log_level)

    from app.domain.identity import key_fingerprint
    from app.ingress.api import Ingress
    from app.internal import Served
    from app.records.fingerprint import foreign_fingerprint
    from app.records.topics import Topics

    async def main() -> None:
        client = kafka.client(settings)
        topics, ours = Topics(settings.topic_prefix, settings.group), key_fingerprint(settings.pseudonym_key)
        if foreign := await foreign_fingerprint(topics.contacts, ours, **client):
            give_up(f"HELIOGRAPH_PSEUDONYM_KEY: topic contacts was written under another key ({foreign}, ours {ours})")
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        ingress = Ingress(settings, tenants, client)
        await ingress.log.start()
        public = Served(ingress.public(), host, settings.port if port is None else port)
        internal = Served(
            ingress.internal(), "127.0.0.1", settings.internal_port if internal_port is None else internal_port
        )
        await public.listening()
        await internal.listening()
        line = {"ingress": public.url, "internal": internal.url, "pid": os.getpid()}
        click.echo(orjson.dumps(line).decode() if as_json else f"ingress on {public.url}, health on {internal.url}")
        gc.freeze()
        await stop.wait()
        await public.stop()
        await internal.stop()
        await ingress.log.stop()

    gc.set_threshold(50_000, 20, 50)
    import uvloop

    uvloop.run(main())
