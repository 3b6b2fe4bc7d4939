"""The public ASGI app, and the internal one."""

from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.routing import Route

from app.domain.identity import key_fingerprint
from app.ingress.log import Log
from app.ingress.messages import Messages
from app.ingress.spool import Spool
from app.ingress.webhooks import Webhooks
from app.internal import internal_app
from app.records.seal import Sealer
from app.records.topics import Topics
from app.settings import Settings
from app.tenants import Tenant


class Ingress:
    """Both apps and the log they write. Start and stop inside the running loop."""

    def __init__(self, settings: Settings, tenants: Mapping[str, Tenant], client: dict[str, Any]) -> None:
        topics = Topics(settings.topic_prefix, settings.group)
        sealer, key = Sealer(settings.seal_keys), settings.pseudonym_key
        self.log = Log(Spool(settings.spool_dir, sealer, frozenset({topics.requests})), **client)
        self.webhooks = Webhooks(tenants, self.log, sealer, topics, key, key_fingerprint(key))
        self.messages = Messages(tenants, self.log, topics, key)

    def public(self) -> Starlette:
        """Routes to the internet. The webhooks are raw ASGI endpoints behind a class that Starlette passes through."""
        status, inbound = _Raw(self.webhooks.status), _Raw(self.webhooks.inbound)
        hooks = [("status", status), ("inbound", inbound), ("fallback", inbound)]
        routes = [Route(f"/twilio/{name}", endpoint) for name, endpoint in hooks]
        routes += [Route(f"/twilio/{{tenant}}/{name}", endpoint) for name, endpoint in hooks]
        routes.append(Route("/v1/messages", self.messages.create, methods=["POST"]))
        routes.append(Route("/v1/messages/{id}", self.messages.cancel, methods=["DELETE"]))
        return Starlette(routes=routes)

    def internal(self) -> Starlette:
        """Health and metrics."""
        registry = CollectorRegistry()
        registry.register(_IngressCollector(self))
        ProcessCollector(registry=registry)
        return internal_app(lambda: "", lambda: "", registry)


class _Raw:
    """An instance is no function, so Starlette treats it as an ASGI app of its own."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope, receive, send)


class _IngressCollector(Collector):
    def __init__(self, ingress: Ingress) -> None:
        self._ingress = ingress

    def collect(self) -> Iterator[Metric]:
        """Counters of webhooks and records, gauges of the spool."""
        webhooks = CounterMetricFamily("heliograph_webhooks", "webhooks by what became of them", labels=["result"])
        for result, count in self._ingress.webhooks.counts.items():
            webhooks.add_metric([result], count)
        yield webhooks
        log = self._ingress.log
        yield CounterMetricFamily("heliograph_ingress_produced", "records put on Kafka at once", value=log.produced)
        yield CounterMetricFamily("heliograph_ingress_spooled", "records put on the spool", value=log.spooled)
        yield GaugeMetricFamily("heliograph_ingress_spool_records", "records waiting in the spool", value=log.waiting)
