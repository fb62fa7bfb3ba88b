"""Cross-origin resource sharing: which pages of other origins may use what is for browsers (Fetch standard, 3.2).

There are no cookies anywhere, so no reply ever allows credentials: a page has to send its user's token itself.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from starlette.responses import Response
from starlette.types import Scope

from tidings.api.problems import FORBIDDEN, ApiProblem
from tidings.api.route import Route

Headers = Sequence[tuple[bytes, bytes]]

EVERYBODY: Final = "*"
VARY: Final = (b"vary", b"Origin")
EXPOSED: Final = (
    b"access-control-expose-headers",
    b"ETag, RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate, X-Request-Id",
)
KEPT: Final = 7_200
"""Seconds for which a browser need not ask again: the most that Chromium accepts."""
PERMITTED: Final = {
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, If-None-Match, Last-Event-ID, X-Request-Id",
    "Access-Control-Max-Age": str(KEPT),
}


class CrossOrigin:
    """Answers browsers that ask whether a page may use the API, and tells them so with every reply to it.

    Args:
        origins: From which pages may come, or `*` alone; none if empty.
        routes: All of them; those for end users are meant. Public files say for themselves who may read them.
    """

    def __init__(self, origins: Sequence[str], routes: Iterable[Route]) -> None:
        self._origins = frozenset(origin.encode() for origin in origins)
        self._everybody = EVERYBODY in origins
        starts = {route.path.partition("{")[0] for route in routes if route.end_users}
        # What is below them too: a reply to a wrong address has to be readable as well.
        shortest = (at for at in starts if not any(at.startswith(it) for it in starts - {at}))
        self._starts = tuple(shortest) if origins else ()

    def headers(self, path: str, origin: bytes | None) -> Headers:
        """Those of a reply to a request for this path from a page of this origin, errors included."""
        if not path.startswith(self._starts):
            return ()
        if self._everybody:
            return ((b"access-control-allow-origin", b"*"), EXPOSED)
        if origin is None or origin not in self._origins:
            return (VARY,)
        return ((b"access-control-allow-origin", origin), EXPOSED, VARY)

    def preflight(self, scope: Scope, origin: bytes | None) -> Response | None:
        """The reply to a browser that asks before it sends a request; None if it is no such question.

        Raises:
            ApiProblem: The page may not.
        """
        if scope["method"] != "OPTIONS" or not scope["path"].startswith(self._starts):
            return None
        if origin is None or not any(
            name == b"access-control-request-method" for name, _ in scope["headers"]
        ):
            return None
        if not self._everybody and origin not in self._origins:
            raise ApiProblem(
                FORBIDDEN,
                f"pages of {origin.decode('latin-1')[:100]!r} may not use this: TIDINGS_API_ORIGINS does not name it",
            )
        return Response(status_code=204, headers=PERMITTED)
