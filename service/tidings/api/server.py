"""The role `api`: serves HTTP until it is stopped, then finishes the requests in progress."""

import asyncio
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

import structlog
import uvicorn
from starlette.types import ASGIApp

from tidings.api.application import application
from tidings.api.authentication import Authentication
from tidings.api.cross_origin import CrossOrigin
from tidings.api.front import Front, RequestMetrics
from tidings.api.limits import Quotas
from tidings.api.live.admission import LiveAdmission
from tidings.api.live.protocols import HttpProtocol, SocketProtocol
from tidings.api.live.stream import InboxStreams
from tidings.api.live.websocket import InboxSockets
from tidings.api.route import Route
from tidings.api.routes import routes
from tidings.api.tokens import UserTokens
from tidings.delivery.errors import ConfigurationError, TidingsError
from tidings.delivery.inbox import InboxHints
from tidings.inbox import opening
from tidings.inbox.opening import Live
from tidings.operations.backend import Backend, opened
from tidings.operations.inbox.frames import frame_of
from tidings.operations.keeping import Keeping
from tidings.operations.keyring import Keyring
from tidings.operations.revoked_tokens import RevokedTokens
from tidings.runtime.background import BackgroundTask
from tidings.runtime.open_files import allow_open_files
from tidings.settings import Settings

log = structlog.get_logger(__name__)

BACKLOG: Final = 16_384
"""Connections that wait to be accepted, at most: all clients of a process that ended come at once. The kernel's own limit
is `net.core.somaxconn`."""
LONGEST_MESSAGE: Final = 64 * 1024
"""Bytes of a WebSocket's message from a client."""
PING: Final = 60.0
"""Seconds between two pings, by which a client is found to be gone whose network ended without a word…"""
PONG: Final = 30.0
"""… and for which its answer is waited for."""
OTHER_FILES: Final = 1_000
"""Open files beside live connections: those of requests, servers and logs."""
LEAVING: Final = 1 / 3
"""Part of the grace over which live connections are closed: their clients go to other processes, not all at once."""
FAREWELL: Final = 2.0
"""Seconds to write when keys were used last, at the end."""
KEEP_ALIVE: Final = 75
"""Seconds for which an idle connection is kept: longer than the 60 s of common proxies, so that they close first."""


MakeConsole = Callable[[Backend, Keyring], ASGIApp]


class _Server(uvicorn.Server):
    """uvicorn without signal handlers of its own: the process has its own."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Api:
    """The role.

    It has PostgreSQL connections of its own, so that readers don't wait for deliveries, nor these for readers.

    Args:
        settings: The process's.
        actor: The process's unique name.
        metrics: Of the process.
        served: Its routes, if not all.
        inbox_hints: Where changes of inboxes are announced; nowhere if None.
        console: Makes the pages of operators; None: they are not served.
    """

    def __init__(
        self,
        settings: Settings,
        actor: str,
        metrics: RequestMetrics,
        served: Sequence[Route] | None = None,
        inbox_hints: InboxHints | None = None,
        console: MakeConsole | None = None,
    ) -> None:
        self._settings = settings
        self._make_console = console
        self._routes = tuple(routes()) if served is None else tuple(served)
        self._actor = actor
        self._metrics = metrics
        self._inbox_hints = inbox_hints
        self._server: _Server | None = None
        self._keyring: Keyring | None = None
        self._backend: Backend | None = None
        self.live: Live | None = None
        """Its live connections; None before it runs."""
        self.port = settings.api.port
        """The port it listens on."""

    @property
    def connected(self) -> bool:
        """Whether RabbitMQ is connected."""
        return self._backend is not None and self._backend.intake.connected

    @property
    def revoked_tokens(self) -> RevokedTokens | None:
        """The revocations of tokens, as this process knows them; None before it runs."""
        return None if self._backend is None else self._backend.revoked_tokens

    @property
    def ready(self) -> bool:
        """Whether requests can be served."""
        return all(self.checks().values())

    def checks(self) -> dict[str, bool]:
        """The conditions of being ready, by name."""
        return {
            "listening": self._server is not None and self._server.started,
            "api_keys": self._keyring is not None and self._keyring.loaded,
            "revoked_tokens": (revoked := self.revoked_tokens) is not None and revoked.loaded,
        }

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set, then finish the requests in progress.

        Raises:
            ConfigurationError: The address can't be listened on.
        """
        _allow_open_files(self._settings.api.live_connections + OTHER_FILES)
        with _bound(self._settings) as listener:
            self.port = listener.getsockname()[1]
            async with (
                opened(
                    self._settings, self._actor, accepting=True, inbox_hints=self._inbox_hints
                ) as backend,
                opening.opened(self._settings, self._actor, frame_of, self._metrics.live) as live,
            ):
                self._backend, self.live = backend, live
                await self._serve(backend, live, listener, stop)

    async def _serve(
        self, backend: Backend, live: Live, listener: socket.socket, stop: asyncio.Event
    ) -> None:
        keyring = Keyring(backend.intake.api_keys, kept=self._settings.api.keys_kept)
        kept = Keeping(backend.intake.api_keys.changes, keyring, backend.revoked_tokens)
        keeping = BackgroundTask("keep the API keys", kept.keep_for_ever)
        backend.revoked_tokens.listen(
            lambda it: live.hub.revoked(it.tenant, it.user_id, it.not_before)
        )
        server = _Server(self._config(backend, live, keyring))
        self._keyring, self._server = keyring, server
        self._metrics.expect((route.path, route.method) for route in self._routes)
        self._metrics.connections(lambda: len(server.server_state.connections))
        serving = asyncio.create_task(server.serve(sockets=[listener]), name="API")
        stopped = asyncio.create_task(stop.wait())
        log.info("API listening", host=self._settings.api.host, port=self.port)
        try:
            await asyncio.wait([serving, stopped], return_when=asyncio.FIRST_COMPLETED)
            if server.started and not serving.done():
                await self._take_leave(server, live)
            server.should_exit = True
            await serving
        finally:
            stopped.cancel()
            await keeping.end()
            with suppress(TidingsError, TimeoutError):
                async with asyncio.timeout(FAREWELL):
                    await keyring.write()

    async def _take_leave(self, server: _Server, live: Live) -> None:
        """Let nobody in, then close live connections one after the other; requests go on meanwhile."""
        for listening in server.servers:
            listening.close()
        grace, began = self._settings.worker.grace, time.monotonic()
        await live.hub.stop(grace * LEAVING)
        left = grace - (time.monotonic() - began)
        server.config.timeout_graceful_shutdown = max(0, int(left))

    def _config(self, backend: Backend, live: Live, keyring: Keyring) -> uvicorn.Config:
        api, listed = self._settings.api, self._routes
        of_users = Quotas("user", api.user_rate_limit)
        authentication = Authentication(keyring, UserTokens(api), backend.revoked_tokens)
        front = Front(
            application(listed, backend, self.checks, InboxStreams(live.hub, self._metrics.live)),
            authentication,
            Quotas("key", api.rate_limit),
            of_users,
            api.max_requests,
            {route.path for route in listed if route.public},
            CrossOrigin(api.origins, listed),
            self._metrics,
            InboxSockets(
                live.hub, LiveAdmission(authentication, live.tickets, of_users), self._metrics.live
            ),
            None if self._make_console is None else self._make_console(backend, keyring),
        )
        return uvicorn.Config(
            front,
            http=HttpProtocol,
            ws=SocketProtocol,
            ws_max_size=LONGEST_MESSAGE,
            ws_per_message_deflate=False,  # its buffers take more than all else of a connection
            ws_ping_interval=PING,
            ws_ping_timeout=PONG,
            backlog=BACKLOG,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            interface="asgi3",
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=int(self._settings.worker.grace),
        )


def _allow_open_files(wanted: int) -> None:
    allowed = allow_open_files(wanted)
    if allowed < wanted:
        log.warning(
            "fewer files may be open than live connections need: raise the limit (`ulimit -n`, `LimitNOFILE=`)",
            allowed=allowed,
            needed=wanted,
        )


@contextmanager
def _bound(settings: Settings) -> Iterator[socket.socket]:
    host, port = settings.api.host, settings.api.port
    try:
        family, *_, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        # asyncio turns Nagle's algorithm off only if a socket names its protocol. With it, a body waits 40 ms on a
        # kept connection: for the client's delayed acknowledgement of the headers.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    except OSError as error:
        raise _not_listening(settings, error) from None
    with listener:
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(BACKLOG)
        except OSError as error:
            raise _not_listening(settings, error) from None
        listener.setblocking(False)
        yield listener


def _not_listening(settings: Settings, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"the API can't listen on {settings.api.listen}: {error.strerror or error}; set TIDINGS_API_LISTEN"
    )
