"""Keeps a test key to tests: whatever else there is does not exist for it."""

from tidings.delivery.errors import NotFound
from tidings.ledger.operators.test_data import Named
from tidings.operations.backend import Backend

__all__ = ["Named", "check_test"]


async def check_test(backend: Backend, named: Named, reference: str, tenant: str | None) -> None:
    """Check that an id or name means a test, before anything is shown of it or done with it.

    Args:
        backend: The connections.
        named: What it names.
        reference: The id or name.
        tenant: The caller's, for names; None if it may name any tenant's.

    Raises:
        NotFound: It means none.
    """
    if not await backend.ledger.reports.is_test(named, reference, tenant):
        raise NotFound(f"there is no test {named} {reference}")
