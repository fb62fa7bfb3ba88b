"""The HTTP endpoints of each process for orchestrators and Prometheus: alive, ready, metrics."""

from collections.abc import Callable, Mapping
from typing import Self

from aiohttp import web

from tidings.delivery.errors import ConfigurationError
from tidings.telemetry.metrics import CONTENT_TYPE, Metrics


class HealthServer:
    """Serves `/metrics`, `/healthz` and `/readyz`.

    Args:
        host: Address to listen on.
        port: Its port; if 0, a free one, then in `port`.
        metrics: Shown by `/metrics`.
        checks: The conditions of `/readyz` by name. Called at every request, so they must return at once.
    """

    def __init__(
        self, host: str, port: int, metrics: Metrics, checks: Mapping[str, Callable[[], bool]]
    ) -> None:
        self._host = host
        self._wanted = port
        self._metrics = metrics
        self._checks = checks
        self._runner: web.AppRunner | None = None
        self.port = port

    async def __aenter__(self) -> Self:
        """Start listening.

        Raises:
            ConfigurationError: The address can't be listened on.
        """
        app = web.Application()
        app.add_routes(
            [
                web.get("/metrics", self._show_metrics),
                web.get("/healthz", self._alive),
                web.get("/readyz", self._ready),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=2)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._wanted).start()
        except OSError as error:
            await self._runner.cleanup()
            raise ConfigurationError(
                f"can't listen on {self._host}:{self._wanted} for /metrics and /healthz: "
                f"{error.strerror or error}; set TIDINGS_HTTP_HOST and TIDINGS_HTTP_PORT"
            ) from None
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _show_metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=self._metrics.render(), headers={"Content-Type": CONTENT_TYPE})

    async def _alive(self, _: web.Request) -> web.Response:
        """Answered by the event loop that delivers, so an answer proves that it runs."""
        return web.json_response({"status": "alive"})

    async def _ready(self, _: web.Request) -> web.Response:
        checks = {name: bool(holds()) for name, holds in self._checks.items()}
        ready = all(checks.values())
        return web.json_response(
            {"status": "ready" if ready else "not_ready", "checks": checks},
            status=200 if ready else 503,
        )
