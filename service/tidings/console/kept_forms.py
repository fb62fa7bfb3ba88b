"""Forms that were sent in vain, such as after a session's end: what was typed goes back to the browser that sent it, to be sent again."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request

from tidings.console.forms import Form, read_form
from tidings.console.page import Html
from tidings.console.sessions import CSRF, is_ours
from tidings.delivery.errors import InvalidRequest

LONGEST: Final = 1024 * 1024
"""Bytes of a form that is kept: whoever sends it has proved nothing."""
PATIENCE: Final = 5.0
"""Seconds within which it must have arrived."""
HIDDEN: Final = frozenset({CSRF, "url", "seen_raw", "seen_fields"})
"""Fields that are not shown: a secret, and what nobody typed."""
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


async def kept_form(request: Request, url: str) -> KeptForm | None:
    """The form of a request whose sender is not known; None if it is none of ours, so that no other site can put words
    into a page of the console.

    Args:
        request: That may send one.
        url: Of the service as browsers see it.
    """
    if request.method != "POST" or not is_ours(request, url):
        return None
    try:
        return KeptForm(address_of(request), await read_form(request, LONGEST, PATIENCE))
    except InvalidRequest:
        return None


def address_of(request: Request) -> str:
    """The address of a request on this host."""
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")
