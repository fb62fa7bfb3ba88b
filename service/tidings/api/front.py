"""The entrance of every request: its id, who sends it, how much of its quota is left, and its metrics."""

import time
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Final, Protocol

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tidings.api.authentication import Authentication
from tidings.api.cross_origin import CrossOrigin
from tidings.api.limits import Quotas
from tidings.api.live.peer import Peer
from tidings.api.live.stream import PATH as STREAM
from tidings.api.live.stream import PEER
from tidings.api.principal import EndUser, Principal
from tidings.api.problems import problem_of, unavailable
from tidings.api.request_ids import HEADER, request_id_of
from tidings.inbox.measured import LiveMetrics

log = structlog.get_logger(__name__)

CONSOLE: Final = "/console/"
"""How the addresses of its pages begin."""
UNMATCHED: Final = "unmatched"
"""The route in metrics of a request to no route."""


class RequestMetrics(Protocol):
    """What is measured of requests."""

    def expect(self, routes: Iterable[tuple[str, str]]) -> None:
        """Path template and method of each route that is served."""
        ...

    def began(self) -> None:
        """A request came in."""
        ...

    def ended(self, route: str, method: str, status: int, seconds: float) -> None:
        """It was answered."""
        ...

    @property
    def live(self) -> LiveMetrics:
        """What is measured of live connections."""
        ...

    def connections(self, count: Callable[[], int]) -> None:
        """Open connections are counted by this function."""
        ...


class Front:
    """The ASGI application that the server calls.

    Args:
        application: Serves what is let in.
        authentication: Finds the sender.
        of_keys: The rate limit of each key.
        of_users: That of each end user.
        most: Requests in progress, at most.
        public: Paths that need no key; of one with parameters, all that begins as it does.
        cross_origin: Which pages of other origins may use what.
        metrics: Counts requests.
        sockets: Serves WebSockets, and lets in who may use them.
        console: Serves the pages of operators, and lets in who may see them; None: there are none.
    """

    def __init__(
        self,
        application: ASGIApp,
        authentication: Authentication,
        of_keys: Quotas,
        of_users: Quotas,
        most: int,
        public: Collection[str],
        cross_origin: CrossOrigin,
        metrics: RequestMetrics,
        sockets: ASGIApp,
        console: ASGIApp | None = None,
    ) -> None:
        self._application = application
        self._authentication = authentication
        self._of_keys = of_keys
        self._of_users = of_users
        self._cross_origin = cross_origin
        self._most = most
        self._public = frozenset(public)
        self._public_below = tuple(path.partition("{")[0] for path in public if "{" in path)
        self._metrics = metrics
        self._sockets = sockets
        self._console = console
        self._in_progress = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._sockets(scope, receive, send)
            return
        began = time.perf_counter()
        authorization, given_id, origin = _headers(scope)
        request_id = scope["tidings.request_id"] = request_id_of(given_id)
        status, started, in_progress = 500, False, True
        streaming = scope["path"] == STREAM
        shared = self._cross_origin.headers(scope["path"], origin)

        def end() -> None:
            nonlocal in_progress
            if in_progress:
                in_progress = False
                self._in_progress -= 1
                route = getattr(scope.get("route"), "path", UNMATCHED)
                self._metrics.ended(route, scope["method"], status, time.perf_counter() - began)

        async def answer(message: Message) -> None:
            nonlocal status, started
            if message["type"] == "http.response.start":
                status, started = message["status"], True
                message["headers"].extend((*self._headers_for(scope), *shared))
            await send(message)
            if streaming:  # it may go on for hours, and takes up nothing but a live connection
                end()

        if streaming:
            scope[PEER] = Peer(send)
        self._in_progress += 1
        self._metrics.began()
        structlog.contextvars.bind_contextvars(request=request_id)
        try:
            serving = await self._admitted(scope, authorization, origin)
            await serving(scope, receive, answer)
        except Exception as error:
            if started:
                raise
            await problem_of(error).response(request_id)(scope, receive, answer)
        finally:
            end()

    def _headers_for(self, scope: Scope) -> Iterator[tuple[bytes, bytes]]:
        """Those of every reply."""
        yield HEADER, scope["tidings.request_id"].encode("ascii")
        yield b"x-content-type-options", b"nosniff"
        if (sender := scope.get("tidings.sender")) is not None:
            yield b"ratelimit-policy", self._quotas(sender).policy
        if (rate := scope.get("tidings.rate")) is not None:
            yield b"ratelimit", rate.header

    async def _admitted(
        self, scope: Scope, authorization: bytes | None, origin: bytes | None
    ) -> ASGIApp:
        """What serves a request; its sender, and what is left of its quota, are in its scope from now on.

        Raises:
            ApiProblem: There are too many, or it is not authenticated.
        """
        if (preflight := self._cross_origin.preflight(scope, origin)) is not None:
            return preflight
        if scope["path"] in self._public or scope["path"].startswith(self._public_below):
            return self._application  # however many there are: a busy process is alive
        if self._in_progress > self._most:
            raise unavailable("too many requests are in progress; try again")
        if self._console is not None and f"{scope['path']}/".startswith(CONSOLE):
            return self._console
        sender = await self._authentication.sender(authorization)
        scope["tidings.sender"] = sender
        scope["tidings.rate"] = self._quotas(sender).take(sender.quota_key)
        return self._application

    def _quotas(self, sender: Principal | EndUser) -> Quotas:
        return self._of_users if isinstance(sender, EndUser) else self._of_keys


def _headers(scope: Scope) -> tuple[bytes | None, bytes | None, bytes | None]:
    """`Authorization`, `X-Request-Id` and `Origin`."""
    authorization = request_id = origin = None
    for name, value in scope["headers"]:
        if name == b"authorization":
            authorization = value
        elif name == HEADER:
            request_id = value
        elif name == b"origin":
            origin = value
    return authorization, request_id, origin
