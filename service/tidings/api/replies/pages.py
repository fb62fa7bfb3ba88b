"""The JSON of a page: the same envelope for every list."""

from collections.abc import Mapping
from typing import Any, Final, Generic, TypeVar

from pydantic import ConfigDict, Field

from tidings.api.replies.notifications import ReplyModel

Item = TypeVar("Item")

EXAMPLE_CURSOR: Final = "3q2-7wAMbB9ALDE3NjcwODE0NjAwMDAwMDAgMDE5OGMyZjQ"


class PageReply(ReplyModel, Generic[Item]):
    """A page of a list. A class of its own kind of page sets `use_attribute_docstrings` if it has any."""

    # pydantic looks for them anew for every kind of item, in each frame of the stack: half a second of CPU in all.
    model_config = ConfigDict(use_attribute_docstrings=False)

    data: list[Item]
    next_cursor: str | None = Field(description="The `cursor` of the next page; null at the end.")


def page_example(
    item: Mapping[str, Any], next_cursor: str | None = EXAMPLE_CURSOR
) -> dict[str, Any]:
    """A page with one of these."""
    return {"data": [item], "next_cursor": next_cursor}
