"""Signs people in and out: the session's cookie, and the check that a form comes from a page of ours."""

import hmac
import secrets
from http.cookies import SimpleCookie
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from tidings.console.forms import Form
from tidings.console.page import ROOT
from tidings.console.visitors import Visitor
from tidings.delivery.errors import Refused
from tidings.operations import sessions
from tidings.operations.backend import Backend

SESSION: Final = "tidings_session"
NOTICE: Final = "tidings_notice"
CSRF: Final = "csrf"
"""The field of a form that proves where it comes from."""
TOKEN_BYTES: Final = 32
"""Of a session's token for forms: a SHA-256."""


class ForeignForm(Refused):
    """A form was not sent by a page of the sender's session."""


async def visitor_of(backend: Backend, request: Request) -> Visitor | None:
    """Who is signed in; None: nobody, or no more.

    Raises:
        LedgerUnavailable: PostgreSQL is unavailable.
    """
    token = request.cookies.get(SESSION)
    if not token:
        return None
    session = await sessions.find(backend, token)
    return None if session is None else Visitor.of(session, sessions.csrf_token(token))


def check_origin(request: Request, url: str) -> None:
    """Check that a form is not sent by another site, as far as the browser says.

    Args:
        request: With the form.
        url: Of the service as browsers see it; empty: as the request's `Host` says.

    Raises:
        ForeignForm: It is.
    """
    headers = request.headers
    if (site := headers.get("sec-fetch-site")) is not None:
        ours = site in {"same-origin", "none"}
    elif (origin := headers.get("origin")) is not None:
        ours = urlsplit(origin).netloc in {headers.get("host"), urlsplit(url).netloc or None}
    else:
        ours = True  # no browser of this decade; the form's token is looked at in any case
    if not ours:
        raise ForeignForm("this form was sent by a page of another site")


def form_token(visitor: Visitor) -> str:
    """The token of a session as one page has it: other characters on each, so that the length of compressed pages does not
    give it away (BREACH)."""
    pad, token = secrets.token_bytes(TOKEN_BYTES), bytes.fromhex(visitor.csrf)
    return (pad + _mixed(pad, token)).hex()


def check_form(visitor: Visitor, form: Form) -> None:
    """Raises ForeignForm if a form does not have the token of its session."""
    try:
        sent = bytes.fromhex(form.get(CSRF, ""))
    except ValueError:
        sent = b""
    token = _mixed(sent[:TOKEN_BYTES], sent[TOKEN_BYTES : 2 * TOKEN_BYTES])
    if len(sent) != 2 * TOKEN_BYTES or not hmac.compare_digest(token, bytes.fromhex(visitor.csrf)):
        raise ForeignForm("this form is of another session: reload the page and try again")


def _mixed(pad: bytes, text: bytes) -> bytes:
    return bytes(left ^ right for left, right in zip(pad, text, strict=False))


def keep(
    response: Response, name: str, value: str, *, secure: bool, lasts: int | None = None
) -> None:
    """Give the browser a cookie that no script sees and no other site's form sends.

    Args:
        response: That gives it.
        name: The cookie's.
        value: The cookie's.
        secure: Whether it is sent over TLS only.
        lasts: Seconds for which the browser keeps it; None: until it is closed.
    """
    cookie: SimpleCookie = SimpleCookie()
    cookie[name] = value
    cookie[name]["path"] = ROOT
    cookie[name]["samesite"] = "Lax"
    cookie[name]["httponly"] = True
    cookie[name]["secure"] = secure
    if lasts is not None:
        cookie[name]["max-age"] = lasts
    response.headers.append("Set-Cookie", cookie[name].OutputString())


def drop(response: Response, name: str) -> None:
    """Take a cookie back."""
    response.delete_cookie(name, path=ROOT)
