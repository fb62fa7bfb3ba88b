"""Forms that were sent in vain, such as after a session's end: what was typed goes back to the browser that sent it, to be sent again."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from tidings.console.forms import Form, form_body, form_of
from tidings.console.page import Answer, Html
from tidings.console.sessions import CSRF, is_ours, token_of
from tidings.console.visitors import Visitor
from tidings.delivery.errors import InvalidRequest
from tidings.runtime.background import in_a_thread

LONGEST: Final = 1024 * 1024
"""Bytes of a form that is kept: whoever sends it has proved nothing."""
PATIENCE: Final = 5.0
"""Seconds within which it must have arrived."""
AT_ONCE: Final = 2
"""Pages with a form that a process makes at once: each may have megabytes, and the API runs beside it."""
HIDDEN: Final = frozenset({CSRF, "url", "seen_raw", "seen_fields"})
"""Fields that are not shown: a secret, and what nobody typed."""
BUSY: Final = "too many forms are given back just now"
AGAIN: Final = "Your session had ended, so nothing was done. What you typed is still here: look at it, then send it again."


@dataclass(frozen=True, slots=True)
class KeptForm:
    """A form that asked for something, of which nothing was done."""

    address: str
    """Where it was sent to."""
    form: Form

    def page(self, situation: str, status: int) -> Html:
        """The page that has it, and a button that sends it again.

        Args:
            situation: Why it was in vain: `ended`, `renewed` or `unavailable`.
            status: Of the answer.
        """
        values: Mapping[str, Any] = {
            "situation": situation,
            "address": self.address,
            "kept_token": self.form.text(CSRF),
            "pairs": [pair for pair in self.form.pairs if pair[0] != CSRF],
            "typed": [pair for pair in self.form.pairs if pair[1] and pair[0] not in HIDDEN],
        }
        return Html("kept_form.html", values, status)


class KeptForms:
    """Gives forms back to senders who are not known.

    Anybody may be one: so their pages are made in threads, beside the event loop that takes notifications, and few at once.

    Args:
        url: Of the service as browsers see it.
        respond: Makes a response of a page.
    """

    def __init__(
        self, url: str, respond: Callable[[Request, Visitor | None, Answer], Response]
    ) -> None:
        self._url = url
        self._respond = respond
        self._places = asyncio.Semaphore(AT_ONCE)

    async def given_back(self, request: Request, situation: str, status: int) -> Response | None:
        """The page with the form of a request, or how its browser sends it once more; None if it is no form of ours, so that
        no other site can put words into a page of the console.

        Args:
            request: That may send one.
            situation: Why it was in vain: `ended` or `unavailable`.
            status: Of the answer.
        """
        if request.method != "POST" or not is_ours(request, self._url):
            return None
        try:
            body = await form_body(request, LONGEST, PATIENCE)
            if self._places.locked():
                return self._not_kept(request, situation, status, BUSY)
            async with self._places:
                made = partial(self._made, request, body, situation, status)
                return await in_a_thread("give a form back", made)
        except InvalidRequest as invalid:
            if invalid.field != "form":
                return None
            return self._not_kept(request, situation, status, str(invalid))

    def _not_kept(self, request: Request, situation: str, status: int, reason: str) -> Response:
        """The browser still has what it sent: it sends it once more where somebody reloads the answer."""
        page = Html("form_not_kept.html", {"situation": situation, "reason": reason}, status)
        return self._respond(request, None, page)

    def _made(self, request: Request, body: bytes, situation: str, status: int) -> Response | None:
        form = form_of(body)
        if not token_of(form):
            return None
        page = KeptForm(address_of(request), form).page(situation, status)
        return self._respond(request, None, page)


def address_of(request: Request) -> str:
    """The address of a request on this host."""
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")
