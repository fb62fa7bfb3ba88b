"""The first page: is anything wrong?"""

from datetime import UTC, datetime, timedelta
from typing import Final

from tidings.console.page import ConsolePage, Html, Visit
from tidings.operations import statistics
from tidings.operations.statistics import Choice, StatisticsRequest


async def _show(visit: Visit) -> Html:
    since = datetime.now(UTC) - timedelta(hours=1)
    choice = Choice(tenant=visit.tenant, test=visit.test)
    request = StatisticsRequest(since, choice=choice, queues=visit.tenant is None)
    return Html("overview.html", {"view": await statistics.look(visit.backend, request)})


PAGES: Final = (ConsolePage("GET", "/", _show),)
