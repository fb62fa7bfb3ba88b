"""The console's cookies: out of reach of scripts, of forms of other sites, and over TLS of every other host."""

from http.cookies import SimpleCookie
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from tidings.console.page import ROOT

OF_THIS_HOST: Final = "__Host-"
"""With this before its name, browsers take a cookie only over TLS and from the host itself, with the path `/`: a page of a
sibling host can't plant one. (RFC 6265bis, 4.1.3.2; OWASP, Session Management Cheat Sheet.)"""


class Cookies:
    """Reads and gives cookies.

    Args:
        url: Of the service as browsers see it: with `https` they are sent over TLS only, and named so.
    """

    def __init__(self, url: str) -> None:
        self._secure = url.startswith("https:")

    def name(self, name: str) -> str:
        """What the browser knows a cookie as."""
        return OF_THIS_HOST + name if self._secure else name

    def read(self, request: Request, name: str) -> str:
        """A cookie's value; empty if the browser has none."""
        return request.cookies.get(self.name(name), "")

    def keep(self, response: Response, name: str, value: str, *, lasts: int | None = None) -> None:
        """Give the browser a cookie that no script sees and no other site's form sends.

        Args:
            response: That gives it.
            name: The cookie's.
            value: The cookie's.
            lasts: Seconds for which the browser keeps it; None: until it is closed.
        """
        cookie: SimpleCookie = SimpleCookie()
        name = self.name(name)
        cookie[name] = value
        cookie[name]["path"] = "/" if self._secure else ROOT
        cookie[name]["samesite"] = "Lax"
        cookie[name]["httponly"] = True
        cookie[name]["secure"] = self._secure
        if lasts is not None:
            cookie[name]["max-age"] = lasts
        response.headers.append("Set-Cookie", cookie[name].OutputString())

    def drop(self, response: Response, name: str) -> None:
        """Take a cookie back."""
        self.keep(response, name, "", lasts=0)
