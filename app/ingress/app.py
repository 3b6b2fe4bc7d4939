"""The public ASGI app, the internal one, and the log both stand on."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from app import telemetry
from app.config.api_keys import ApiKeys
from app.config.settings import Settings
from app.config.tenants import Tenant
from app.domain.model.identity import key_fingerprint
from app.ingress.durable.producer import ProducerConnection
from app.ingress.durable.spool import Spool
from app.ingress.durable.writer import LogWriter
from app.ingress.http.connection_close import CloseReason
from app.ingress.http.connections import BODY_S, HEAD_S, Connections
from app.ingress.http.responses import problem
from app.ingress.v1.access import Access, Endpoint
from app.ingress.v1.message_states import MessageStates
from app.ingress.v1.messages import Messages
from app.ingress.webhooks.diagnosis import Misconfiguration
from app.ingress.webhooks.endpoint import WebhookEndpoint
from app.ingress.webhooks.records import WebhookRecords
from app.ingress.webhooks.rejections import RejectionReason, Rejections
from app.ingress.webhooks.routes import KINDS, Kind, WebhookRoutes
from app.ingress.worker_metrics import WorkersCollector
from app.internal_server import internal_app
from app.kafka.progress_monitor import WorkerMonitor
from app.read_model.reader import ReadModel
from app.records.seal import Sealer
from app.records.topics import Topics

_log = telemetry.logger(__name__)


class Ingress:
    """The webhook endpoint, the /v1 API, and the log that both write. Start and stop inside the running loop.

    `open_connection`: connects to Kafka (`ClusterGate.open`); `fail`: called with the reason when the process cannot
    continue; `body_s`, `head_s`: seconds within which the body and the head of a request must arrive; `workers`:
    monitored while the ingress runs, None for no monitoring; `read_model`: None if no message states are available;
    `keys`: API keys of /v1, None for none. `connections`: uvicorn's `http` argument for the public server.
    """

    def __init__(
        self,
        settings: Settings,
        tenants: Mapping[str, Tenant],
        open_connection: Callable[[], Awaitable[ProducerConnection]],
        fail: Callable[[BaseException], None],
        body_s: float = BODY_S,
        head_s: float = HEAD_S,
        workers: WorkerMonitor | None = None,
        read_model: ReadModel | None = None,
        keys: ApiKeys | None = None,
    ) -> None:
        topics = Topics(settings.topic_prefix, settings.group, tenants)
        sealer, key = Sealer(settings.seal_keys), settings.pseudonym_key
        spool = Spool(settings.spool_dir, sealer, frozenset(topics.request_tenants))
        self.log = LogWriter(spool, open_connection, fail, settings.stall_timeout_s, topics.request_tenants)
        receipts = WebhookRecords(sealer, topics, key, key_fingerprint(key))
        self.webhooks = WebhookEndpoint(
            WebhookRoutes(tenants), self.log, receipts, Rejections(self.log, sealer, topics)
        )
        self.workers, self.read_model = workers, read_model
        stopped = (lambda: workers.stopped) if workers is not None else (lambda: "")
        access = Access(tenants, keys or ApiKeys(), settings.api_rate, settings.api_address_rate)
        self.messages = Messages(access, self.log, topics, key, body_s, MessageStates(read_model, key), stopped)
        self.connections, self._proxies = Connections(body_s, head_s), list(settings.trusted_proxies)
        self._known, self._not_read = frozenset(tenants), ""

    def take(self, tenants: Mapping[str, Tenant], keys: ApiKeys) -> None:
        """Use these tenants and keys from the next request on. A new tenant's requests are accepted only after a
        restart, which checks its topic: a record for a missing topic would block those of all tenants."""
        self._not_read = ""
        self.webhooks.hooks = WebhookRoutes(tenants)
        self.messages.access.take({name: one for name, one in tenants.items() if name in self._known}, keys)
        if new := sorted(set(tenants) - self._known):
            _log.warning("tenants.need_restart", tenants=new)

    def keep(self, keys: ApiKeys, problem: str) -> None:
        """Keep the tenants, because the settings could not be read again, and use `keys`. `problem`: reported as
        degraded health until `take` is called."""
        self._not_read = problem
        self.messages.access.take_keys(keys)

    async def start(self) -> None:
        """Start, also while Kafka is unavailable: the spool then takes the records. Raises ClusterMismatchError."""
        await self.log.start()
        if self.workers is not None:
            self.workers.start()
        if self.read_model is not None:
            await self.read_model.start()

    async def stop(self) -> None:
        """Stop; call it after the last request was answered."""
        await self.webhooks.rejections.settled()
        await self.log.stop()
        if self.workers is not None:
            await self.workers.stop()
        if self.read_model is not None:
            await self.read_model.stop()

    def degraded(self) -> str:
        """What is wrong with the settings, the spool, the workers or the read model, or ""."""
        workers = self.workers.problem if self.workers else ""
        read_model = self.read_model.problem if self.read_model else ""
        parts = (self._not_read, self.log.degraded(), workers, read_model)
        return "; ".join(filter(None, parts))

    def routes(self) -> list[Route]:
        """Of the public port, webhooks apart (see `routes.read_path`)."""
        by_path: dict[str, dict[str, Endpoint]] = {}
        for endpoint in self.messages.endpoints:
            by_path.setdefault(endpoint.path, {})[endpoint.method] = endpoint
        return [Route(path, self._handler(found), methods=list(found)) for path, found in by_path.items()]

    def _handler(self, by_method: Mapping[str, Endpoint]) -> Callable[[Request], Awaitable[Response]]:
        """One route for each path: its 405 names every method. A HEAD is answered as GET."""

        async def handler(request: Request) -> Response:
            method = "GET" if request.method == "HEAD" else request.method
            return await self.messages.answer(by_method[method], request)

        return handler

    def public(self) -> Any:
        """Routes to the internet. Webhooks pass Starlette by: they are the hot path."""
        handlers: Any = {HTTPException: _refused, Exception: _failed}
        api: Any = Starlette(routes=self.routes(), exception_handlers=handlers)
        webhooks = self.webhooks
        # A redirect would turn Twilio's POST into a GET.
        api.router.redirect_slashes = False
        # Of the API alone: no address of a caller means anything to webhooks.
        rest = ProxyHeadersMiddleware(api, self._proxies)

        async def door(scope: Any, receive: Any, send: Any) -> None:
            hook = scope["type"] == "http" and scope["path"].startswith("/twilio/")
            await (webhooks if hook else rest)(scope, receive, send)

        return door

    def internal(self) -> Starlette:
        """Health and metrics. Ready: a record can be taken, on Kafka or on the spool, and Kafka does not forbid it.

        Workers that do not work make the ingress degraded, neither dead nor unready: without it webhooks would be lost.
        """
        registry, workers = CollectorRegistry(), self.workers
        registry.register(IngressCollector(self))
        if workers is not None:
            registry.register(WorkersCollector(workers))
        ProcessCollector(registry=registry)
        return internal_app(lambda: "", self.log.fault, registry, degraded=self.degraded)


async def _refused(_request: Request, error: HTTPException) -> Response:
    status, body, kind = problem(error.status_code, error.detail)
    return Response(body, status, error.headers, kind.decode())


async def _failed(_request: Request, _error: Exception) -> Response:
    """Starlette raises the error again after this answer, and the server logs it."""
    status, body, kind = problem(500, "a fault of ours")
    return Response(body, status, media_type=kind.decode())


_REFUSALS = (400, 403, 405, 413, 415, 500, 503)
# Shown at zero before the first of them: an answer seen for the first time at 1 is no increase to Prometheus.
ANSWERS = {
    **{name: (204 if kind is Kind.STATUS else 200, *_REFUSALS) for name, kind in KINDS.items()},
    "messages": (200, 202, 400, 401, 403, 408, 409, 413, 415, 422, 429, 500, 503),
    "find": (200, 401, 403, 422, 429, 500, 503),
    "show": (200, 401, 403, 404, 429, 500, 503),
    "cancel": (202, 401, 403, 404, 429, 500, 503),
}


class IngressCollector(Collector):
    """Read from the ingress at each scrape."""

    def __init__(self, ingress: Ingress) -> None:
        self._ingress = ingress

    def collect(self) -> Iterator[Metric]:
        """Counters of requests and records, gauges of the spool."""
        answered = CounterMetricFamily(
            "heliograph_ingress_requests", "requests by route and HTTP status", labels=["route", "status"]
        )
        counts = {(route, status): 0 for route, statuses in ANSWERS.items() for status in statuses}
        for (route, status), count in (
            counts | self._ingress.webhooks.answered | self._ingress.messages.answered
        ).items():
            answered.add_metric([str(route), str(status)], count)
        yield answered
        yield from self._refused()
        cut = CounterMetricFamily(
            "heliograph_ingress_cut", "connections ended for what came, or did not come, on them", labels=["why"]
        )
        for why in CloseReason:
            cut.add_metric([why], self._ingress.connections.cut[why])
        yield cut
        log = self._ingress.log
        yield CounterMetricFamily("heliograph_ingress_produced", "records put on Kafka at once", value=log.produced)
        yield CounterMetricFamily("heliograph_ingress_spooled", "records put on the spool", value=log.spooled)
        refused = "records that Kafka refuses, set aside from the spool"
        yield CounterMetricFamily("heliograph_ingress_refused_records", refused, value=log.refused)
        yield GaugeMetricFamily("heliograph_ingress_spool_bytes", "bytes waiting in the spool", value=log.spooled_bytes)
        yield GaugeMetricFamily("heliograph_ingress_kafka_away", "1 while records go to the spool", value=log.away)
        model = self._ingress.read_model
        behind = "1 while states of messages may be missing or old"
        yield GaugeMetricFamily(
            "heliograph_ingress_read_model_behind", behind, value=float(bool(model and model.problem))
        )

    def _refused(self) -> Iterator[Metric]:
        webhooks = self._ingress.webhooks
        refused = CounterMetricFamily(
            "heliograph_ingress_rejected", "webhooks refused with 403", labels=["route", "why"]
        )
        for kind, why in ((kind, why) for kind in KINDS for why in RejectionReason):
            refused.add_metric([kind, why], webhooks.rejections.counts[kind, why])
        yield refused
        mistakes = CounterMetricFamily(
            "heliograph_ingress_mistakes", "what would explain refused webhooks, one a second tried", labels=["mistake"]
        )
        for mistake in Misconfiguration:
            mistakes.add_metric([mistake], webhooks.rejections.mistakes[mistake])
        yield mistakes
        yield CounterMetricFamily(
            "heliograph_ingress_repeated", "webhooks that Twilio sent again, known already", value=webhooks.repeated
        )
