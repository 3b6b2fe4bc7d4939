"""A process's internal port: health, readiness and metrics, on loopback by default, never the public listener."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.errors import HeliographError


class ListenError(HeliographError):
    """The address is taken or not ours; the text names it."""


class InternalServer:
    """A uvicorn server inside the running loop. `url` is its base; `stop` ends it; `http` makes the protocol of a
    connection. Raises ListenError."""

    def __init__(self, app: Any, host: str, port: int, http: Any = "auto") -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((host, port))
        except OSError as error:
            self._socket.close()
            raise ListenError(f"cannot listen on {host}:{port}: {error.strerror}") from None
        self.url = f"http://{host}:{self._socket.getsockname()[1]}"
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="auto",
            http=http,
            ws="none",
            # The API believes trusted proxies by itself (app/ingress/app.py); nobody needs to know what serves here.
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=2,
        )
        self._server = uvicorn.Server(config)
        self._server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        self._task = asyncio.get_running_loop().create_task(self._serve())

    async def _serve(self) -> None:
        await self._server._serve(sockets=[self._socket])

    async def listening(self) -> None:
        """Returns once connections are taken."""
        while not self._server.started:
            if self._task.done():
                await self._task
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        """Answer what is open, then close."""
        self._server.should_exit = True
        await self._task


def internal_app(
    alive: Callable[[], str],
    ready: Callable[[], str],
    registry: CollectorRegistry,
    withheld: Callable[[], str] = lambda: "",
    degraded: Callable[[], str] = lambda: "",
) -> Starlette:
    """`alive`, `ready` and `withheld` (of the metrics) return "" or what is wrong, answered with 503. `degraded`: what
    is wrong elsewhere, a second line of health and readiness that changes no status: no restart would mend it."""

    async def healthz(_request: Request) -> Response:
        return _answer(alive(), degraded())

    async def readyz(_request: Request) -> Response:
        return _answer(ready(), degraded())

    async def metrics(_request: Request) -> Response:
        if problem := withheld():
            return _answer(problem)
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return Starlette(routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)])


def _answer(problem: str, degraded: str = "") -> Response:
    body = (problem or "ok") + (f"\ndegraded: {degraded}\n" if degraded else "")
    return Response(body, 503 if problem else 200, media_type="text/plain")
