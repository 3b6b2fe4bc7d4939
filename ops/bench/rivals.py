"""Servers that the ingress is measured beside: the same uvicorn answering nothing, and Starlette as one would write it.

python ops/bench/rivals.py empty|sdk PORT        KAFKA_BOOTSTRAP_SERVERS, TOPIC, PUBLIC, TOKEN from the environment
"""

import asyncio
import gc
import os
import sys
from urllib.parse import parse_qsl

import orjson
import uvloop
from aiokafka import AIOKafkaProducer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from twilio.request_validator import RequestValidator

from app.internal import Served


async def empty(_scope, _receive, send) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def sdk(producer: AIOKafkaProducer) -> Starlette:
    validator, public, topic = RequestValidator(os.environ["TOKEN"]), os.environ["PUBLIC"], os.environ["TOPIC"]

    async def status(request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode(), keep_blank_values=True))
        url = f"{public}?{request.scope['query_string'].decode()}"
        if not validator.validate(url, form, request.headers.get("x-twilio-signature", "")):
            return Response(status_code=403)
        key = request.query_params["m"].partition("-")[0].encode()
        await producer.send_and_wait(topic, orjson.dumps(form), key)
        return Response(status_code=204)

    return Starlette(routes=[Route("/twilio/status", status, methods=["POST"])])


async def main(name: str, port: int) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=os.environ["KAFKA_BOOTSTRAP_SERVERS"], acks="all", enable_idempotence=True
    )
    if name == "sdk":
        await producer.start()
    served = Served(empty if name == "empty" else sdk(producer), "127.0.0.1", port)
    await served.listening()
    print("ready", flush=True)
    gc.freeze()
    await asyncio.Event().wait()


if __name__ == "__main__":
    gc.set_threshold(50_000, 20, 50)
    uvloop.run(main(sys.argv[1], int(sys.argv[2])))
