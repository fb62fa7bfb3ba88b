"""Metrics of the HTTP API."""

from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from tidings.telemetry.histogram import Histogram
from tidings.telemetry.live_metrics import LiveConnectionMetrics

REQUESTS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""Buckets of one request, in seconds."""

ERRORS: Final = ("429", "500", "503")
"""Statuses worth an alert."""


class ApiMetrics:
    """What is measured of requests."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "tidings_api_requests",
            "Requests by route, method and status.",
            ["route", "method", "status"],
            registry=registry,
        )
        self._seconds = Histogram(
            "tidings_api_request_seconds",
            "Seconds from the first byte of a request's header to its reply.",
            ["route", "method"],
            bounds=REQUESTS,
            registry=registry,
        )
        self._in_progress = Gauge(
            "tidings_api_requests_in_progress", "Requests in progress.", registry=registry
        )
        self.live: Final = LiveConnectionMetrics(registry)
        self._connections = Gauge("tidings_api_connections", "Open connections.", registry=registry)
        self._known: dict[tuple[str, str, int], Callable[[float], None]] = {}

    def expect(self, routes: Iterable[tuple[str, str]]) -> None:
        """Let the counters of errors begin at zero, for `increase()` sees no first one otherwise.

        Args:
            routes: The path template and method of each route.
        """
        for route, method in routes:
            for status in ERRORS:
                self._requests.labels(route, method, status)

    def began(self) -> None:
        """A request came in."""
        self._in_progress.inc()

    def ended(self, route: str, method: str, status: int, seconds: float) -> None:
        """A request was answered after so many seconds."""
        self._in_progress.dec()
        key = (route, method, status)
        observe = self._known.get(key)
        if observe is None:
            observe = self._known[key] = self._observer(*key)
        observe(seconds)

    def connections(self, count: Callable[[], int]) -> None:
        """Open connections are counted by this function."""
        self._connections.set_function(count)

    def _observer(self, route: str, method: str, status: int) -> Callable[[float], None]:
        counter = self._requests.labels(route, method, str(status))
        histogram = self._seconds.labels(route, method)

        def observe(seconds: float) -> None:
            counter.inc()
            histogram.observe(seconds)

        return observe
