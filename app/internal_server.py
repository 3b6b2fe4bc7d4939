"""The internal HTTP server of a process: health, readiness and metrics, on loopback by default."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


class _EmbeddedServer(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone: the process, not this server, decides what a signal ends, and in which order."""
        yield


class InternalServer:
    """A uvicorn server that runs as a task of the current event loop. `url`: its base URL."""

    def __init__(self, app: Any, host: str, port: int, http: Any = "auto") -> None:
        """Bind the socket and start serving; must be called within a running event loop.

        `app`: ASGI application; `port`: 0 takes any free one; `http`: uvicorn's `http` setting, such as a class or
        factory of connection protocols. Raises ListenError if the address cannot be bound.
        """
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
            # app/ingress/app.py applies X-Forwarded-* from trusted proxies itself. No server header: it would disclose
            # the software.
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=2,
        )
        self._server = _EmbeddedServer(config)
        self._task = asyncio.get_running_loop().create_task(self._server.serve(sockets=[self._socket]))

    async def listening(self) -> None:
        """Wait until connections are accepted. Raises what ended the server if it could not start."""
        while not self._server.started:
            if self._task.done():
                await self._task
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        """Finish open requests, for at most 2 s, then close."""
        self._server.should_exit = True
        await self._task


def internal_app(
    alive: Callable[[], str],
    ready: Callable[[], str],
    registry: CollectorRegistry,
    withheld: Callable[[], str] = lambda: "",
    degraded: Callable[[], str] = lambda: "",
) -> Starlette:
    """Build the application with /healthz, /readyz and /metrics.

    Each callable returns "" or a description of a problem. A problem from `alive` (health), `ready` (readiness) or
    `withheld` (metrics) is answered with 503. One from `degraded` is outside this process, so a restart would not
    remove it: it is added as a second line to health and readiness and leaves the status as it is.
    """

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
