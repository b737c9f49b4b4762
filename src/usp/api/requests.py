"""What the API itself is asked, counted in this process."""

import time
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# When each counter was made interests nobody, and would be as many lines again.
disable_created_metrics()  # type: ignore[no-untyped-call]

_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
#: Requests that no route has taken: paths are made up freely, and each would be a label of its own.
_NO_ROUTE = "none"
_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)


class Requests(Collector):
    """Counts and durations by method, route template and class of status; and the process itself."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._count = Counter(
            "usp_http_requests", "Requests answered.", ["method", "route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "usp_http_request_seconds",
            "From the request to the last byte of the answer.",
            ["method", "route"],
            buckets=_BUCKETS_S,
            registry=self._registry,
        )

    def collect(self) -> Iterable[Metric]:
        """All of it, as Prometheus reads it."""
        return self._registry.collect()

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        known = method if method in _METHODS else "other"
        self._count.labels(known, route, f"{status // 100}xx").inc()
        self._seconds.labels(known, route).observe(seconds)


class CountRequests:
    """Counts every request, also those that end in an accident or with a client that has gone."""

    def __init__(self, app: ASGIApp, requests: Requests) -> None:
        self.app = app
        self.requests = requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status = 500
        began = time.perf_counter()

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, send_on)
        finally:
            route = getattr(scope.get("route"), "path", _NO_ROUTE)
            self.requests.answered(scope["method"], route, status, time.perf_counter() - began)
