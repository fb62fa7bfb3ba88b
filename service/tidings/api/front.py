"""The entrance of every request: its id, who sends it, how much of its quota is left, and its metrics."""

import time
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Final, Protocol

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tidings.api.authentication import Authentication
from tidings.api.limits import KeyQuotas, RateStatus
from tidings.api.live.peer import Peer
from tidings.api.live.stream import PATH as STREAM
from tidings.api.live.stream import PEER
from tidings.api.problems import problem_of, unavailable
from tidings.api.request_ids import HEADER, request_id_of
from tidings.inbox.measured import LiveMetrics

log = structlog.get_logger(__name__)

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
        rate_limit: Of each key.
        most: Requests in progress, at most.
        public: Paths that need no key.
        metrics: Counts requests.
        sockets: Serves WebSockets, and lets in who may use them.
    """

    def __init__(
        self,
        application: ASGIApp,
        authentication: Authentication,
        rate_limit: KeyQuotas,
        most: int,
        public: Collection[str],
        metrics: RequestMetrics,
        sockets: ASGIApp,
    ) -> None:
        self._application = application
        self._authentication = authentication
        self._rate_limit = rate_limit
        self._most = most
        self._public = frozenset(public)
        self._metrics = metrics
        self._sockets = sockets
        self._in_progress = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._sockets(scope, receive, send)
            return
        began = time.perf_counter()
        authorization, given_id = _headers(scope)
        request_id = scope["tidings.request_id"] = request_id_of(given_id)
        status, started, in_progress = 500, False, True
        streaming = scope["path"] == STREAM
        rate: RateStatus | None = None

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
                message["headers"].extend(self._headers_for(scope, rate))
            await send(message)
            if streaming:  # it may go on for hours, and takes up nothing but a live connection
                end()

        if streaming:
            scope[PEER] = Peer(send)
        self._in_progress += 1
        self._metrics.began()
        structlog.contextvars.bind_contextvars(request=request_id)
        try:
            rate = await self._admit(scope, authorization)
            await self._application(scope, receive, answer)
        except Exception as error:
            if started:
                raise
            await problem_of(error).response(request_id)(scope, receive, answer)
        finally:
            end()

    def _headers_for(self, scope: Scope, rate: RateStatus | None) -> Iterator[tuple[bytes, bytes]]:
        """Those of every reply."""
        yield HEADER, scope["tidings.request_id"].encode("ascii")
        yield b"x-content-type-options", b"nosniff"
        if "tidings.sender" in scope:
            yield b"ratelimit-policy", self._rate_limit.policy
        if rate is not None:
            yield b"ratelimit", rate.header

    async def _admit(self, scope: Scope, authorization: bytes | None) -> RateStatus | None:
        """Let a request in; its sender is in its scope from now on.

        Raises:
            ApiProblem: There are too many, or it is not authenticated.
        """
        if scope["path"] in self._public:
            return None  # however many there are: a busy process is alive
        if self._in_progress > self._most:
            raise unavailable("too many requests are in progress; try again")
        sender = await self._authentication.sender(authorization)
        scope["tidings.sender"] = sender
        return self._rate_limit.take(sender.quota_key)


def _headers(scope: Scope) -> tuple[bytes | None, bytes | None]:
    """`Authorization` and `X-Request-Id`."""
    authorization = request_id = None
    for name, value in scope["headers"]:
        if name == b"authorization":
            authorization = value
        elif name == HEADER:
            request_id = value
    return authorization, request_id
