"""Servers that the ingress is measured beside: Starlette on the same uvicorn, that reads a request and answers without
work; that uvicorn alone; Starlette with the SDK as one would write it; and the least that verifies and produces.

python ops/bench/rivals.py empty|bare|sdk|raw PORT    KAFKA_BOOTSTRAP_SERVERS, TOPIC, PUBLIC, TOKEN from the environment
"""

import asyncio
import base64
import gc
import hmac
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

from app.internal_server import InternalServer


def empty(_producer: AIOKafkaProducer) -> Starlette:
    async def status(request: Request) -> Response:
        await request.body()
        return Response(status_code=204)

    return Starlette(routes=[Route("/twilio/status", status, methods=["POST"])])


async def done(_scope, _receive, send) -> None:
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


def raw(producer: AIOKafkaProducer):
    """As little as will do: no framework, an own HMAC, the form on the log as it came, its acknowledgement awaited."""
    token, public, topic = os.environ["TOKEN"].encode(), os.environ["PUBLIC"].encode(), os.environ["TOPIC"]

    async def status(scope, receive, send) -> None:
        body, query = (await receive())["body"], scope["query_string"]
        form = dict(parse_qsl(body.decode(), keep_blank_values=True))
        signed = b"%s?%s%s" % (public, query, "".join([name + form[name] for name in sorted(form)]).encode())
        given = next(value for name, value in scope["headers"] if name == b"x-twilio-signature")
        if not hmac.compare_digest(base64.b64encode(hmac.digest(token, signed, "sha1")), given):
            raise ValueError("signature")
        key = query[2:].partition(b"-")[0]
        await (await producer.send(topic, orjson.dumps(form), key))
        await done(scope, receive, send)

    return status


async def main(name: str, port: int) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=os.environ["KAFKA_BOOTSTRAP_SERVERS"], acks="all", enable_idempotence=True
    )
    if name in ("sdk", "raw"):
        await producer.start()
    app = {"empty": empty, "bare": lambda _: done, "sdk": sdk, "raw": raw}[name](producer)
    served = InternalServer(app, "127.0.0.1", port)
    await served.listening()
    print("ready", flush=True)
    gc.freeze()
    await asyncio.Event().wait()


if __name__ == "__main__":
    gc.set_threshold(50_000, 20, 50)
    uvloop.run(main(sys.argv[1], int(sys.argv[2])))
