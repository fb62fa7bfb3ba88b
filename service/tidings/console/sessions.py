"""Who sends a request, by the session's cookie; and the check that a form comes from a page of ours."""

import hmac
import secrets
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request

from tidings.console.cookies import Cookies
from tidings.console.forms import Form
from tidings.console.visitors import Visitor
from tidings.delivery.errors import Refused
from tidings.operations import sessions
from tidings.operations.backend import Backend
from tidings.runtime.patience import patient_for

SESSION: Final = "tidings_session"
NOTICE: Final = "tidings_notice"
REFRESH: Final = "Tidings-Refresh"
"""The header of a page that fetches itself again: nobody has done anything, so the session may idle out."""
CSRF: Final = "csrf"
"""The field of a form that proves where it comes from."""
PATIENCE: Final = 2.0
"""Seconds for one small statement, before a page says that PostgreSQL is unavailable."""
TOKEN_BYTES: Final = 32
"""Of a session's token for forms: a SHA-256."""


class ForeignForm(Refused):
    """A form was not sent by a page of the sender's session."""


async def visitor_of(backend: Backend, request: Request) -> Visitor | None:
    """Who is signed in; None: nobody, or no more.

    Raises:
        LedgerUnavailable: PostgreSQL is unavailable.
    """
    token = Cookies(backend.settings.console.url).read(request, SESSION)
    if not token:
        return None
    with patient_for(PATIENCE):
        session = await sessions.find(backend, token, used=REFRESH not in request.headers)
    return None if session is None else Visitor.of(session, sessions.csrf_token(token))


def check_origin(request: Request, url: str) -> None:
    """Check that a form is not sent by another site, as far as the browser says.

    Args:
        request: With the form.
        url: Of the service as browsers see it; empty: as the request's `Host` says.

    Raises:
        ForeignForm: It is.
    """
    known = {"sec-fetch-site", "origin"} & set(request.headers)
    by_hand = request.headers.get("sec-fetch-site") == "none"
    if known and not by_hand and not is_ours(request, url):
        raise ForeignForm("this form was sent by a page of another site")


def is_ours(request: Request, url: str) -> bool:
    """Whether a browser says that a page of ours sent a form; without a word of it, as before 2020, nobody knows.

    Args:
        request: With the form.
        url: Of the service as browsers see it; empty: as the request's `Host` says.
    """
    headers = request.headers
    if (site := headers.get("sec-fetch-site")) is not None:
        return site == "same-origin"
    origin = headers.get("origin")
    hosts = {headers.get("host"), urlsplit(url).netloc or None}
    return origin is not None and urlsplit(origin).netloc in hosts


def form_token(visitor: Visitor) -> str:
    """The token of a session as one page has it: other characters on each, so that the length of compressed pages does not
    give it away (BREACH)."""
    pad, token = secrets.token_bytes(TOKEN_BYTES), bytes.fromhex(visitor.csrf)
    return (pad + _mixed(pad, token)).hex()


def check_form(visitor: Visitor, form: Form) -> None:
    """Raises ForeignForm if a form does not have the token of its session."""
    token = token_of(form)
    if not token or not hmac.compare_digest(token, bytes.fromhex(visitor.csrf)):
        raise ForeignForm("this form is of another session: reload the page and try again")


def token_of(form: Form) -> bytes:
    """The token that a form has, of whatever session; empty if it can't be one."""
    try:
        sent = bytes.fromhex(form.get(CSRF, ""))
    except ValueError:
        return b""
    return _mixed(sent[:TOKEN_BYTES], sent[TOKEN_BYTES:]) if len(sent) == 2 * TOKEN_BYTES else b""


def _mixed(pad: bytes, text: bytes) -> bytes:
    return bytes(left ^ right for left, right in zip(pad, text, strict=False))
