"""`heliograph worker`: one worker process."""

import asyncio
import gc
import os
import signal

import click
import orjson

from app import kafka, telemetry
from app.cli import give_up, settings_or_exit


@click.command("worker")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line when ready.")
def command(as_json: bool) -> None:
    """Run one worker: agents intake, contacts, lanes, timers and metrics.

    Each worker needs a HELIOGRAPH_DATA_DIR of its own; several share the work. SIGTERM waits for open calls.

    \b
    Example:
      HELIOGRAPH_DATA_DIR=run/w1 heliograph worker --json
    """
    settings, tenants = settings_or_exit(dict(os.environ), keys=True)
    telemetry.configure(settings.log_level)

    from app.domain.identity import key_fingerprint
    from app.records.fingerprint import foreign_fingerprint
    from app.records.topics import Topics
    from app.streams.engine.app import run
    from app.streams.health import serve
    from app.streams.worker import Worker

    async def main() -> None:
        topics = Topics(settings.topic_prefix, settings.group)
        ours = key_fingerprint(settings.pseudonym_key)
        foreign = await foreign_fingerprint(topics.contacts, ours, **kafka.client(settings))
        if foreign:
            give_up(f"HELIOGRAPH_PSEUDONYM_KEY: topic contacts was written under another key ({foreign}, ours {ours})")
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        worker = Worker(settings, tenants)
        health = await serve(worker.runtime, settings.internal_port)
        ready = loop.create_task(_say_ready(worker.runtime, health.url, as_json))
        await worker.run(stop)
        ready.cancel()
        await health.stop()

    gc.set_threshold(50_000, 20, 50)
    run(main)


async def _say_ready(runtime: object, url: str, as_json: bool) -> None:
    while not (engine := getattr(runtime, "engine", None)) or not engine.health().assigned:
        await asyncio.sleep(0.02)
    gc.freeze()
    if as_json:
        line = {"worker": "ready", "internal": url, "pid": os.getpid()}
        click.echo(orjson.dumps(line).decode())
    else:
        click.echo(f"worker ready, health on {url}/healthz")
