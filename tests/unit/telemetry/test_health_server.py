"""Alive, ready and measured, over HTTP."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tidings.delivery.errors import ConfigurationError
from tidings.telemetry.http import HealthServer
from tidings.telemetry.metrics import Metrics


class Served:
    """A server with two checks that the test can fail."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.broker = True
        self.ledger = True
        self.server = HealthServer(
            "127.0.0.1",
            0,
            self.metrics,
            {"broker": lambda: self.broker, "ledger": lambda: self.ledger},
        )

    async def get(self, path: str) -> tuple[int, str]:
        url = f"http://127.0.0.1:{self.server.port}{path}"
        async with aiohttp.ClientSession() as session, session.get(url) as reply:
            return reply.status, await reply.text()


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    served = Served()
    async with served.server:
        yield served


async def test_a_free_port_is_taken_and_told(served: Served) -> None:
    assert served.server.port > 0


async def test_it_is_alive_whatever_it_depends_on(served: Served) -> None:
    served.broker = served.ledger = False
    assert (await served.get("/healthz"))[0] == 200


async def test_it_is_ready_while_every_check_holds(served: Served) -> None:
    status, body = await served.get("/readyz")
    assert status == 200
    assert body == '{"status": "ready", "checks": {"broker": true, "ledger": true}}'


async def test_it_is_not_ready_without_its_broker_and_says_so(served: Served) -> None:
    served.broker = False
    status, body = await served.get("/readyz")
    assert status == 503
    assert body == '{"status": "not_ready", "checks": {"broker": false, "ledger": true}}'


async def test_metrics_are_served_as_prometheus_reads_them(served: Served) -> None:
    served.metrics.channel("email").duplicate()
    status, body = await served.get("/metrics")
    assert status == 200
    families = {family.name: family for family in text_string_to_metric_families(body)}
    assert families["tidings_duplicates"].samples[0].value == 1


async def test_a_taken_port_is_refused_with_the_setting_to_change(served: Served) -> None:
    second = HealthServer("127.0.0.1", served.server.port, Metrics(), {})
    with pytest.raises(ConfigurationError, match="TIDINGS_HTTP_PORT"):
        await second.__aenter__()
