"""`heliograph simulator`: Twilio's part, on this machine."""

import asyncio
import gc
import json
import os
import signal
from typing import Any

import click
import msgspec

from app.cli.options.ports import PORT
from app.cli.output import say, say_json
from app.cli.process.exit_codes import give_up
from app.internal_server import InternalServer, ListenError
from app.simulator.config import MIX, SimulatorConfig
from app.simulator.control import build


@click.command("simulator")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=PORT, default=4010, show_default=True, help="0: any free port.")
@click.option(
    "--account", envvar="TWILIO_ACCOUNT_SID", show_envvar=True, default="AC" + "0" * 32, show_default=True, help="AC..."
)
@click.option(
    "--auth-token",
    envvar="TWILIO_AUTH_TOKEN",
    show_envvar=True,
    default="simulator-token",
    show_default="simulator-token",
    help="Calls log in with it, webhooks are signed with it.",
)
@click.option(
    "--api-key", envvar="TWILIO_API_KEY_SID", show_envvar=True, default="", help="An API key that may call, SK..."
)
@click.option("--api-key-secret", envvar="TWILIO_API_KEY_SECRET", show_envvar=True, default="", help="Its secret.")
@click.option("--inbound-url", default="", help="Where texts of people are posted.")
@click.option("--fallback-url", default="", help="Where they are posted when that fails.")
@click.option("--sender", "senders", multiple=True, default=["+15005550006"], help="A number behind a service.")
@click.option(
    "--service", envvar="TWILIO_MESSAGING_SERVICE_SID", show_envvar=True, default="", help="One it holds, MG..."
)
@click.option("--seed", default=7, show_default=True)
@click.option("--mix", default=json.dumps(MIX), show_default=True, help="Weight of each end, as JSON.")
@click.option("--step-ms", default=30.0, show_default=True, help="Mean time between two callbacks.")
@click.option("--latency-ms", default=0.0, show_default=True, help="Of each API answer.")
@click.option("--concurrency", default=0, show_default=True, help="Calls at once; more are answered 429. 0: no limit.")
@click.option("--mps", default=0.0, show_default=True, help="Segments a second of each sender. 0: no limit.")
@click.option("--advanced-opt-out", is_flag=True, help="Send OptOutType with keywords; blocked texts fail later.")
@click.option(
    "--errors", type=click.Choice(["legacy", "problem"]), default="legacy", show_default=True, help="Their form."
)
@click.option(
    "--webhooks", type=click.Choice(["form", "json"]), default="form", show_default=True, help="Their bodies."
)
@click.option("--shared-key", default="", help="Sign webhooks with HMAC-SHA256 by this key, not by the auth token.")
@click.option("--shared-secret", default="", help="Its secret.")
@click.option("--keep", type=click.IntRange(1), default=1_000_000, show_default=True, help="Texts that are remembered.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line when ready.")
def command(host: str, port: int, as_json: bool, **given: Any) -> None:
    """Run the Twilio simulator. It implements the part of Twilio's REST API that heliograph uses,
    signs webhooks and can inject faults.

    \b
    Examples:
      heliograph simulator --port 4010 --inbound-url http://127.0.0.1:8080/twilio/inbound
      curl http://127.0.0.1:4010/_sim/creates
      curl -d '{"throttle": 0.5, "calls": 20}' http://127.0.0.1:4010/_sim/faults
      curl -d '{"from": "+14155550123", "body": "STOP"}' http://127.0.0.1:4010/_sim/inbound
      curl -d '{"mps": 1, "countries": {"+44": {"undelivered:30003": 1}}}' http://127.0.0.1:4010/_sim/config

    app/simulator/README.md tells how to test your own Twilio code with it.
    """
    config = _config(given)

    async def main() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        served = InternalServer(build(config), host, port)
        await served.listening()
        told = {"simulator": served.url, "pid": os.getpid()}
        say_json(told) if as_json else say(f"simulator on {served.url}")
        gc.freeze()
        await stop.wait()
        await served.stop()

    gc.set_threshold(50_000, 20, 50)
    import uvloop

    try:
        uvloop.run(main())
    except ListenError as fault:
        give_up(str(fault))


def _config(given: dict[str, Any]) -> SimulatorConfig:
    """Options as settings; click ends with exit 2 when they make no sense."""
    account, key, secret = given.pop("account"), given.pop("api_key"), given.pop("api_key_secret")
    keys = {key: secret} if key else {}
    try:
        mix = msgspec.json.decode(given.pop("mix"))
        return msgspec.convert({**given, "mix": mix, "account_sid": account, "api_keys": keys}, SimulatorConfig)
    except msgspec.MsgspecError as bad:
        raise click.UsageError(str(bad)) from None
