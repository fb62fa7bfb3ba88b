"""Whose things a page shows: those of the visitor's tenant, and with a test key tests only."""

from tidings.console.page import Visit
from tidings.console.problems import Forbidden
from tidings.delivery.errors import InvalidRequest
from tidings.operations.filters import tenant as tenant_name


def tenant_of(visit: Visit) -> str | None:
    """The tenant of a list: the visitor's, or the one that the query names; None: all.

    Raises:
        Forbidden: The query names another than the visitor's.
        InvalidRequest: It can't be a tenant.
    """
    given = visit.query("tenant") or visit.form.text("tenant")
    if visit.tenant is None and given:
        try:
            return tenant_name(given)
        except ValueError as error:
            raise InvalidRequest(str(error), field="tenant") from None
    if given and given != visit.tenant:
        raise Forbidden(f"You are signed in for {visit.tenant}.")
    return visit.tenant


def tests_of(visit: Visit) -> bool:
    """Whether a list has tests, or else what is no test: `test=true`, and all that a test key sees.

    Raises:
        Forbidden: What is no test is asked for with a test key.
    """
    given = (visit.query("test") or visit.form.text("test")).lower()
    if visit.test and given in {"false", "0", "no"}:
        raise Forbidden("You signed in with a test key, which sees nothing but tests.")
    return visit.test or given in {"true", "1", "yes"}
