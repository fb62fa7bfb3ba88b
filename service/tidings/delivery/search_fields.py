"""The fields by which dead letters can be found, read even from a body that is no valid notification."""

import re
from dataclasses import dataclass
from typing import Any, Final, Self
from uuid import UUID

from pydantic_core import from_json

from tidings_events import DEFAULT_TENANT, Notification
from tidings_events.weight import HARMLESS, too_heavy

LONGEST: Final = 2_048
"""Characters of a recipient or a name; the longest recipient is a URL of so many."""

_SLUG: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_LOGIN: Final = re.compile(r"^(\s*[a-z][a-z0-9+.-]*://)[^/?#]*@", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class SearchFields:
    """The fields by which dead letters can be found."""

    id: UUID | None = None
    channel: str | None = None
    category: str | None = None
    recipient: str | None = None
    user_id: str | None = None
    entity_type: str | None = None
    entity_id: str | None = None
    tenant: str | None = None
    """None if its body can't be read, or names what can be no tenant."""
    test: bool = False
    """Whether it is a test, or was meant to be: `test` is anything but false."""

    @classmethod
    def of(cls, notification: Notification) -> Self:
        """The fields of a notification."""
        entity = notification.entity
        return cls(
            notification.id,
            notification.channel,
            notification.category,
            str(notification.recipient),
            notification.user_id,
            entity.type if entity else None,
            entity.id if entity else None,
            notification.tenant,
            notification.test,
        )


NO_SEARCH_FIELDS: Final = SearchFields()


def read_search_fields(body: bytes) -> SearchFields:
    """The fields of a body that is no valid notification; none if it is not a JSON object."""
    heavy = too_heavy(body) is not None
    document = _document(body, heavy=heavy)
    if not isinstance(document, dict):
        return NO_SEARCH_FIELDS
    entity = document.get("entity")
    entity = entity if isinstance(entity, dict) else {}
    return SearchFields(
        id=_id(document.get("id")),
        channel=_text(document.get("channel")),
        category=_text(document.get("category")),
        recipient=_text(_without_login(document.get("recipient"))),
        user_id=_text(document.get("user_id")),
        entity_type=_text(entity.get("type")),
        entity_id=_text(entity.get("id")),
        tenant=_tenant(document, whole=not heavy),
        test=document.get("test") not in (None, False),  # no set: a list has no hash
    )


def _document(body: bytes, *, heavy: bool) -> Any:
    """The JSON document; None if it is not JSON; only its beginning if the whole would take too much memory."""
    try:
        return from_json(body[:HARMLESS], allow_partial=True) if heavy else from_json(body)
    except ValueError:
        return None


def _id(value: Any) -> UUID | None:
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _tenant(document: dict[str, Any], *, whole: bool) -> str | None:
    """Its tenant; never a guess, or one tenant would see the messages of another."""
    named = document.get("tenant")
    if named is None:
        return DEFAULT_TENANT if whole else None
    return named if isinstance(named, str) and _SLUG.fullmatch(named) else None


def _without_login(value: Any) -> Any:
    """A URL without the login in it, which is a secret."""
    return _LOGIN.sub(r"\1", value) if isinstance(value, str) else value


def _text(value: Any) -> str | None:
    """Text that PostgreSQL can store; a number is taken as text."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    text = str(value) if isinstance(value, str) or value.bit_length() < 64 else ""
    fit = text[:LONGEST].replace("\x00", "\N{REPLACEMENT CHARACTER}")
    return fit.encode("utf-8", "replace").decode() or None
