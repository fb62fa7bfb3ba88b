"""The JSON of a page: the same envelope for every list."""

from collections.abc import Mapping
from typing import Any, Final, Generic, TypeVar

from tidings.api.replies.notifications import ReplyModel

Item = TypeVar("Item")

EXAMPLE_CURSOR: Final = "3q2-7wAMbB9ALDE3NjcwODE0NjAwMDAwMDAgMDE5OGMyZjQ"


class PageReply(ReplyModel, Generic[Item]):
    """A page of a list."""

    data: list[Item]
    next_cursor: str | None
    """The `cursor` of the next page; null at the end."""


def page_example(
    item: Mapping[str, Any], next_cursor: str | None = EXAMPLE_CURSOR
) -> dict[str, Any]:
    """A page with one of these."""
    return {"data": [item], "next_cursor": next_cursor}
