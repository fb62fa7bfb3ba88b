"""schemathesis sends what the OpenAPI document allows, and what it forbids, to every route."""

import asyncio
import os
import sys
from asyncio.subprocess import STDOUT
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.contract.http.conftest import SUBMITTED
from tests.support.api_rig import ApiRig
from tests.support.inboxes import delivered
from tests.support.user_tokens import token_of

from tidings.api.routes import routes
from tidings.ledger.inbox.messages import InboxUser
from tidings.operations import sessions
from tidings.operations.actor import Actor
from tidings.operations.sessions import OpenSessionRequest

EXAMPLES = os.environ.get("API_EXAMPLES", "3")
"""Random requests to each route, after the systematic ones."""
CONFIG = Path(__file__).with_name("schemathesis.toml")
ROOT = Path(__file__).parents[3]
SCHEMATHESIS = Path(sys.executable).with_name("st")
ROUTES = {(route.method, route.path) for route in routes()}
JOBS = {(method, path) for method, path in ROUTES if path.startswith("/v1/jobs/{id}/")}
"""Whether one can be started, paused, resumed or cancelled depends on how far it has come."""
ENDLESS = {("GET", "/v1/inbox/stream")}
"""Its reply has no end."""


@pytest.mark.timeout(300)
async def test_every_route_answers_as_documented_whatever_it_is_sent(
    api: ApiRig, tmp_path: Path
) -> None:
    report, variables = tmp_path / "report.txt", await something_to_act_on(api)
    with report.open("wb") as written:
        process = await asyncio.create_subprocess_exec(
            *(SCHEMATHESIS, "--no-color", "--config-file", CONFIG),
            *("run", f"http://127.0.0.1:{api.api.port}/openapi.json"),
            *("--max-examples", EXAMPLES),
            env={**os.environ, **variables, "COLUMNS": "200", "PYTHONPATH": str(ROOT)},
            cwd=tmp_path, stdout=written, stderr=STDOUT,
        )  # fmt: skip
        code = await process.wait()
    assert code == 0, report.read_text("utf-8")
    assert ROUTES - carried_out(api) <= JOBS | ENDLESS


async def something_to_act_on(api: ApiRig) -> dict[str, str]:
    """A key and a token, and what the tool can't make up, by the names that its configuration has for them."""
    key, tomorrow = await api.key(), (datetime.now(UTC) + timedelta(days=1)).isoformat()
    scheduled = {**SUBMITTED, "scheduled_at": tomorrow}
    accepted = await api.ask("POST", "/v1/notifications", key, json=scheduled)
    dead_letters = await api.ask("GET", "/v1/dead-letters", key)
    user = InboxUser("default", "u-1")
    messages = await delivered(api.backend.ledger.database, user, *({} for _ in range(30)))
    signed_in = OpenSessionRequest("jane", "*", ["read"])
    token = await sessions.open_(api.backend, Actor("console", "jane"), signed_in)
    session = await sessions.find(api.backend, token)
    return {
        "API_KEY": key,
        "MESSAGE": str(messages[-1]),
        "USER_TOKEN": token_of(user.user_id),
        "DEAD_LETTER": dead_letters.data["data"][0]["id"],
        "SCHEDULED": accepted.data["id"],
        "SESSION": "" if session is None else str(session.id),
        "TOMORROW": tomorrow,
    }


def carried_out(api: ApiRig) -> set[tuple[str, str]]:
    """Method and path of each route that has carried out a request."""
    return {
        (sample.labels["method"], sample.labels["route"])
        for metric in api.metrics.registry.collect()
        for sample in metric.samples
        if sample.name == "tidings_api_requests_total"
        and sample.labels["status"].startswith("2")
        and sample.value > 0
    }
