"""The envelope of every list: a page, and the cursor of the next."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")
Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class PageView(Generic[Item]):
    """A page of a list; its fields are those of its JSON."""

    data: tuple[Item, ...]
    next_cursor: str | None = None
    """Leads to the next page; None at the end."""


def page_of(
    found: Sequence[Row],
    limit: int,
    view: Callable[[Row], Item],
    cursor: Callable[[Row], str],
) -> PageView[Item]:
    """A page of rows, of which one more was looked for than the page has.

    Args:
        found: The rows, at most `limit` and one.
        limit: How many the page has, at most.
        view: What is shown of a row.
        cursor: The cursor that leads on behind a row.
    """
    shown = found[:limit]
    following = cursor(shown[-1]) if len(found) > limit else None
    return PageView(tuple(map(view, shown)), following)
