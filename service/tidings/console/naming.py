"""Reads the id in a page's address: for a person with a test key there is nothing but tests."""

from uuid import UUID

from tidings.console.page import Visit
from tidings.delivery.errors import NotFound
from tidings.operations.test_mode import Named, check_test

__all__ = ["Named", "id_in_path"]


async def id_in_path(visit: Visit, named: Named) -> UUID:
    """The id in the path of a page.

    Args:
        visit: The request.
        named: What it is the id of.

    Raises:
        NotFound: It is no id, or a person with a test key may not see what it names.
    """
    given = visit.path["id"]
    try:
        id_ = UUID(given)
    except ValueError:
        raise NotFound(f"there is no {named} {given[:60]}") from None
    if visit.test:
        await check_test(visit.backend, named, str(id_), visit.tenant)
    return id_
