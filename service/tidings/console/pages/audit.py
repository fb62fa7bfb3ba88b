"""The audit trail: who did what, and when."""

from typing import Any, Final

from tidings.console import equivalents
from tidings.console.filtering import FilterNames, time_typed
from tidings.console.page import Answer, ConsolePage, Html, Visit
from tidings.operations import trail
from tidings.operations.scopes import Scope
from tidings.operations.trail import TrailFilters, TrailRequest

LISTED: Final = 50
ACTIONS: Final = (
    "revealed people and content",
    "sign in",
    "sign out",
    "end session",
    "job running",
    "job paused",
    "job cancelled",
    "edit dead letter",
    "note",
    "owner",
    "channel pause",
    "channel resume",
    "channel disable",
    "channel enable",
    "create key",
    "revoke key",
    "create schedule",
    "pause schedule",
    "resume schedule",
    "run schedule",
    "delete schedule",
    "create alert rule",
    "edit alert rule",
    "disable alert rule",
    "enable alert rule",
    "delete alert rule",
    "revoke tokens",
    "erase",
    "retention run",
)
"""Actions that the field completes; any other is a filter too."""
LENGTHS: Final = frozenset({"every", "remind", "lasting"})
"""Details that are seconds."""
NAMES: Final = FilterNames(
    "/audit",
    {"actor": (), "action": ACTIONS, "since": ("1h", "24h", "7d"), "until": ()},
    "actor:jane",
    single=frozenset({"actor", "action", "since", "until"}),
)


async def _list(visit: Visit) -> Answer:
    if added := NAMES.added(visit):
        return added
    filters = TrailFilters(
        visit.query("actor") or None,
        visit.query("action") or None,
        time_typed("since", visit.query("since")),
        time_typed("until", visit.query("until")),
    )
    cursor = visit.query("cursor")
    page = await trail.read(visit.backend, TrailRequest(filters, LISTED, cursor or None))
    # The cursor belongs to times that stand still, not to `24h`.
    query: dict[str, Any] = {
        "actor": filters.actor,
        "action": filters.action,
        "since": filters.since and filters.since.isoformat(),
        "until": filters.until and filters.until.isoformat(),
    }
    return Html(
        "audit.html",
        {
            "page": page,
            "filters": NAMES.bar(visit),
            "query": query,
            "cursor": cursor,
            "lengths": LENGTHS,
            "curl": equivalents.curl(visit, "GET", "/v1/audit", **query),
        },
    )


PAGES: Final = (ConsolePage("GET", "/audit", _list, Scope.ADMIN, all_tenants=True),)
