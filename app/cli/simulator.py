"""`heliograph simulator`: Twilio's part, on this machine."""

import asyncio
import gc
import json
import os
import signal

import click
import orjson

from app.internal import Served
from app.simulator.config import MIX, SimulatorConfig
from app.simulator.control import build


@click.command("simulator")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=4010, show_default=True, help="0: any free port.")
@click.option("--account", envvar="TWILIO_ACCOUNT_SID", default="AC" + "0" * 32, show_default=True)
@click.option("--auth-token", envvar="TWILIO_AUTH_TOKEN", default="simulator-token", help="Signs webhooks, too.")
@click.option("--inbound-url", default="", help="Where texts of people are posted.")
@click.option("--seed", default=7, show_default=True)
@click.option("--mix", default=json.dumps(MIX), show_default=True, help="Share of each end, as JSON.")
@click.option("--step-ms", default=30.0, show_default=True, help="Mean time between two callbacks.")
@click.option("--latency-ms", default=0.0, show_default=True, help="Of each API answer.")
@click.option("--advanced-opt-out", is_flag=True, help="Send OptOutType with keywords.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line when ready.")
def command(host: str, port: int, as_json: bool, mix: str, account: str, **given: object) -> None:
    """Speak the part of Twilio's REST API that heliograph uses, sign webhooks, misbehave on purpose.

    \b
    Examples:
      heliograph simulator --port 4010 --inbound-url http://127.0.0.1:8080/twilio/inbound
      curl http://127.0.0.1:4010/_sim/creates
      curl -d '{"throttle": 0.5, "calls": 20}' http://127.0.0.1:4010/_sim/faults
      curl -d '{"from": "+14155550123", "body": "STOP"}' http://127.0.0.1:4010/_sim/inbound
    """
    config = SimulatorConfig(account_sid=account, mix=json.loads(mix), **given)  # type: ignore[arg-type] # click types them

    async def main() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        served = Served(build(config), host, port)
        await served.listening()
        line = orjson.dumps({"simulator": served.url, "pid": os.getpid()}).decode()
        click.echo(line if as_json else f"simulator on {served.url}")
        gc.freeze()
        await stop.wait()
        await served.stop()

    gc.set_threshold(50_000, 20, 50)
    import uvloop

    uvloop.run(main())
