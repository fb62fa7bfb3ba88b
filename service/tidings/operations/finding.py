"""What a few typed characters mean: a notification's id or its beginning, a recipient, or a user."""

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from tidings.delivery.errors import InvalidRequest
from tidings.delivery.id_prefix import IdPrefix
from tidings.operations.backend import Backend
from tidings.operations.notifications import ListedView

MOST: Final = 50
"""Notifications whose ids begin so that are named."""


@dataclass(frozen=True, slots=True)
class FindRequest:
    """What was typed, and who may see what."""

    text: str
    tenant: str | None = None
    test: bool = False
    """Tests, in place of what is no test."""


@dataclass(frozen=True, slots=True)
class FoundView:
    """What it means: one of these."""

    notifications: tuple[ListedView, ...] = ()
    """Those whose ids begin so, newest first; people are masked."""
    id: UUID | None = None
    """A whole id, known or not."""
    recipients: tuple[str, ...] = ()
    """The ways in which a recipient may have been published."""
    user_id: str | None = None

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        return {
            "notifications": self.notifications,
            "id": self.id,
            "recipients": self.recipients,
            "user_id": self.user_id,
        }


async def find(backend: Backend, request: FindRequest) -> FoundView:
    """Find what was typed. What is neither an id nor an address is taken for a user's id.

    Raises:
        InvalidRequest: Nothing was typed.
    """
    text = request.text.strip()
    if not text:
        raise InvalidRequest("type an id, an address or a user's id", field="text")
    if recipients := addresses(text):
        return FoundView(recipients=recipients)
    if (prefix := id_of(text)) is None:
        return FoundView(user_id=text)
    if prefix.whole:
        return FoundView(id=UUID(prefix.digits))
    found = await backend.ledger.reports.beginning(prefix, request.tenant, MOST, test=request.test)
    if not found:
        return FoundView(user_id=text)  # `4711` and `cafe` may be users too
    return FoundView(tuple(ListedView.of(summary, "", reveal=False) for summary in found))


def id_of(text: str) -> IdPrefix | None:
    """An id or its beginning; None if it can't be one."""
    try:
        return IdPrefix.parse(text)
    except ValueError:
        return None


def addresses(text: str) -> tuple[str, ...]:
    """The ways in which an address may have been published; empty if it is none.

    A phone number is published in E.164, without the blanks and dashes that people type. Mail servers ignore the case of
    a domain, and nearly all that of the rest.
    """
    if "://" in text:
        return (text,)
    if "@" in text:
        local, _, domain = text.rpartition("@")
        return tuple(dict.fromkeys((text, f"{local}@{domain.lower()}", text.lower())))
    number = text.translate(_PUNCTUATION)
    if number.startswith("00"):
        number = f"+{number[2:]}"
    return (number,) if number.startswith("+") and number[1:].isdecimal() else ()


_PUNCTUATION: Final = str.maketrans("", "", " -()/.\u00a0")
