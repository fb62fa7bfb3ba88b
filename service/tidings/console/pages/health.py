"""Processes at once, and the checks of `tidings doctor` when they are asked for: those ask every server and provider."""

import os
from collections import Counter
from typing import Any, Final

from tidings.console import equivalents
from tidings.console.page import ConsolePage, Html, Visit
from tidings.delivery.errors import LedgerUnavailable
from tidings.delivery.ports import Verdict
from tidings.operations import health, processes
from tidings.operations.scopes import Scope


async def _show(visit: Visit) -> Html:
    return Html("health.html", await _values(visit))


async def _check(visit: Visit) -> Html:
    """The same with what the checks find, which the page's script loads by itself."""
    found = await health.examined(visit.backend, visit.actor, os.environ)
    worst = sorted(found.view.findings, key=lambda each: [*reversed(Verdict)].index(each.verdict))
    counts = Counter(each.verdict for each in worst)
    values = await _values(visit)
    return Html("health.html", {**values, "found": found, "findings": worst, "counts": counts})


async def _values(visit: Visit) -> dict[str, Any]:
    try:
        known = await processes.list_(visit.backend)
    except LedgerUnavailable:
        known = None
    return {
        "processes": known,
        "found": None,
        "cli": f"{equivalents.command('doctor')}\n{equivalents.command('ps')}",
        "curl": equivalents.curl(visit, "GET", "/v1/health"),
    }


PAGES: Final = (
    ConsolePage("GET", "/health", _show, all_tenants=True, in_outages=True),
    ConsolePage("GET", "/health/checks", _check, Scope.OPERATE, all_tenants=True, in_outages=True),
)
