"""What people read of an error."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import structlog
from starlette.exceptions import HTTPException

from tidings.delivery.errors import (
    BrokerUnavailable,
    InvalidRequest,
    LedgerRefused,
    LedgerUnavailable,
    NotFound,
    Refused,
    TidingsError,
)
from tidings_events.errors import InvalidNotification

log = structlog.get_logger(__name__)

UNSURE: Final = (
    "What you asked for may be done, or part of it: look how things stand, then try again."
)
"""A reply may have been lost after its commit, and an action may have several steps."""


class Forbidden(TidingsError):
    """A person may not do what they ask for."""


@dataclass(frozen=True, slots=True)
class PageProblem:
    """An error as a page."""

    status: int
    title: str
    detail: str


def sentence(text: str) -> str:
    """The words of an error as they stand alone."""
    end = "" if text.endswith((".", "!", "?", "`")) else "."
    return f"{text[:1].upper()}{text[1:]}{end}"


def described(error: Exception, *, form: bool = False) -> PageProblem:
    """Status, title and text. An error that nobody expected is logged, and its text stays here.

    Args:
        error: What happened.
        form: Whether a form was sent: part of what it asks for may be done.
    """
    match error:
        case HTTPException(status_code=status):
            title = HTTPStatus(status).phrase
            shown = PageProblem(status, title, "There is no such page." if status == 404 else title)
        case Forbidden():
            shown = PageProblem(403, "You may not do this", str(error))
        case NotFound():
            shown = PageProblem(404, "Not found", sentence(str(error)))
        case Refused():
            shown = PageProblem(409, "That was not possible", sentence(str(error)))
        case InvalidRequest(field=field):
            text = sentence(f"{field}: {error}" if field else str(error))
            shown = PageProblem(422, "That can't be read", text)
        case InvalidNotification():
            shown = PageProblem(422, "This notification is not valid", str(error))
        case LedgerRefused():
            shown = PageProblem(
                422, "That can't be stored", "A value has a character that can't be."
            )
        case LedgerUnavailable() | BrokerUnavailable():
            log.warning("page failed: a server is unavailable", error=str(error))
            server = "PostgreSQL" if isinstance(error, LedgerUnavailable) else "RabbitMQ"
            detail = UNSURE if form else "Try again in a moment."
            shown = PageProblem(503, f"{server} is unavailable", detail)
        case _:
            log.error("unexpected error in a page", exc_info=error)
            detail = "The error is in the log, under this request's id."
            detail += f" {UNSURE}" if form else ""
            shown = PageProblem(500, "Something went wrong", detail)
    return shown
