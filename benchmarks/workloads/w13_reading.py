"""W13, reading: pages of a list and statistics over HTTP, with millions of notifications."""

import http.client
import json
import time
from collections.abc import Iterator, Sequence
from typing import Final
from urllib.parse import urlencode

from benchmarks import serving
from benchmarks.contenders.base import Contender
from benchmarks.contenders.tidings import Tidings
from benchmarks.filling import fill_ledger, fill_rollups, vary
from benchmarks.results import Measurement
from benchmarks.serving import Served
from benchmarks.stage import NotDone, Stage
from benchmarks.workloads.base import Column, Workload

ROWS: Final = 5_000_000
TIMES: Final = 40
"""Requests of each kind."""
KEPT: Final = 3
"""Slowest kinds that are named."""
SINCE: Final = {"since": "2023-11-14T23:00:00Z", "until": "2023-11-15T03:00:00Z"}
LISTS: Final[Sequence[dict[str, str]]] = (
    {},
    {"limit": "100"},
    {"state": "sent"},
    {"state": "failed"},
    {"state": "retrying"},
    {"channel": "email"},
    {"channel": "sms"},
    {"priority": "high"},
    {"category": "receipt"},
    {"category": "login"},
    {"user_id": "user-{n}"},
    {"entity": "order:{n}"},
    {"recipient": "past-{n}@example.com"},
    {"template": "order-shipped"},
    {"template": "missing"},
    {"provider": "nothing"},
    {"provider": "twilio"},
    {"error_class": "rejected"},
    {"error_class": "unavailable"},
    {"subject": "order {n}"},
    {"subject": "in none of them"},
    {"tenant": "default"},
    {"tenant": "shop"},
    SINCE,
    {"state": "failed", "error_class": "rejected", "channel": "email"},
    {"state": "failed", **SINCE},
    {"user_id": "user-{n}", "state": "sent"},
    {"channel": "email", "priority": "normal", "category": "receipt", "provider": "nothing"},
    {"tenant": "default", "category": "receipt", "state": "failed"},
    {"subject": "order {n}", "channel": "email", **SINCE},
)
PERIODS: Final = {"an hour": 1, "a day": 24, "a week": 7 * 24, "30 days": 30 * 24}
FILTERS: Final[Sequence[dict[str, str]]] = (
    {},
    {"channel": "email"},
    {"category": "category 3"},
    {"provider": "provider 1"},
    {"tenant": "default", "channel": "sms", "category": "category 3"},
)


def measure(stage: Stage, contender: Contender) -> Iterator[Measurement]:
    """Times of each kind of request, one after the other on one connection."""
    assert isinstance(contender, Tidings)
    job = stage.job(contender)
    environment = contender.environment(job)
    with stage.prepared(contender, job):
        rows = stage.sized(ROWS)
        stage.say(f"W13 filling the ledger with {rows:,} notifications")
        fill_ledger(stage.servers, 0, rows)
        vary(stage.servers)
        fill_rollups(stage.servers)
        key = serving.key(environment, "read")
        with serving.api(stage, environment) as served:
            client = _Client(served, key)
            lists = [_times(client, "/v1/notifications", given, rows) for given in LISTS]
            pages = _times_of_pages(client)
            statistics = [
                _times(client, "/v1/stats", {**given, **_last(hours)}, rows)
                for hours in PERIODS.values()
                for given in FILTERS
            ]
    _name_slowest(stage, LISTS, lists)
    yield _measured(contender, [*lists, pages], "a page of the list")
    yield _measured(contender, statistics, "statistics")
    stage.servers.empty()


class _Client:
    """One connection that stays open."""

    def __init__(self, served: Served, key: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
        self._headers = {"Authorization": f"Bearer {key}"}

    def get(self, path: str, query: dict[str, str]) -> tuple[float, dict[str, object]]:
        """How many milliseconds it took, and the reply."""
        began = time.perf_counter()
        self._connection.request("GET", f"{path}?{urlencode(query)}", headers=self._headers)
        response = self._connection.getresponse()
        body = response.read()
        took = (time.perf_counter() - began) * 1000
        if response.status != 200:
            raise NotDone(f"{path} {query}: {response.status} {body[:300]!r}")
        return took, json.loads(body)


def _times(client: _Client, path: str, query: dict[str, str], rows: int) -> list[float]:
    found = []
    for number in range(TIMES + 1):
        chosen = (number * 7_919_777) % rows + 1
        took, _ = client.get(path, {name: text.format(n=chosen) for name, text in query.items()})
        found.append(took)
    return found[1:]  # the first opens what the others use


def _times_of_pages(client: _Client) -> list[float]:
    """One page after the other."""
    found: list[float] = []
    cursor: dict[str, str] = {}
    for _ in range(TIMES):
        took, page = client.get("/v1/notifications", {"limit": "100", **cursor})
        found.append(took)
        cursor = {"cursor": str(page["next_cursor"])}
    return found


def _last(hours: int) -> dict[str, str]:
    """A period that ends now."""
    began = time.gmtime(time.time() - hours * 3600)
    return {"since": time.strftime("%Y-%m-%dT%H:%M:%SZ", began)}


def _name_slowest(
    stage: Stage, kinds: Sequence[dict[str, str]], times: Sequence[list[float]]
) -> None:
    slowest = sorted(zip(map(max, times), kinds, strict=True), key=lambda kind: -kind[0])[:KEPT]
    for longest, kind in slowest:
        stage.say(f"W13 longest of {kind}: {longest:.0f} ms")


def _measured(contender: Contender, times: Sequence[list[float]], what: str) -> Measurement:
    each = sorted(took for some in times for took in some)
    values = {
        "requests": len(each),
        "p50_ms": each[len(each) // 2],
        "p99_ms": each[int(len(each) * 0.99)],
        "max_ms": each[-1],
    }
    return Measurement("W13", contender.about.name, values, what)


W13: Final = Workload(
    name="W13",
    title="Reading",
    what="Pages of `GET /v1/notifications`, each filter alone and combined, and `GET /v1/stats` over an hour to 30 days, one request "
    "after the other, with five million notifications in the ledger and half a million rollups.",
    columns=(
        Column("requests", "requests"),
        Column("p50_ms", "p50, ms", ",.1f"),
        Column("p99_ms", "p99, ms", ",.1f"),
        Column("max_ms", "longest, ms", ",.1f"),
    ),
    measure=measure,
    only=frozenset({"Tidings"}),
)
