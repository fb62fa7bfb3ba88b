"""What the doctor finds, which processes run, and what is set; no secret is shown."""

from datetime import UTC, datetime

import pytest
from tests.support.console_rig import ConsoleRig

from tidings.ledger.operators.processes import FRESH

pytestmark = pytest.mark.asyncio(loop_scope="module")

PROCESS = """
INSERT INTO processes (actor, roles, host, pid, version, channels, templates, since, seen_at)
VALUES ($1, '{worker}', $1, 7, '0.4.0', '{email}', '', now() - interval '1 hour', now() - $2 * interval '1 second')
"""


async def test_processes_are_shown_at_once_and_checks_when_asked_for(console: ConsoleRig) -> None:
    await console.api.execute(PROCESS, "host-that-runs", 1.0)
    await console.api.execute(PROCESS, "host-that-vanished", FRESH + 60)
    person = await console.person("read", "operate")
    shown = await person.get("/health")
    assert "host-that-runs" in shown.text
    assert "no heartbeat" in shown.text
    assert 'data-load="/console/health/checks"' in shown.html
    checked = await person.get("/health/checks")
    assert "looked at" in checked.text
    assert "PostgreSQL" in checked.text
    assert "RabbitMQ" in checked.text
    assert "fault" in checked.text
    assert "postgresql://" not in checked.text
    examined = await console.api.api._backend.health.get(_never)  # type: ignore[union-attr]
    assert (datetime.now(UTC) - examined.at).total_seconds() < 60
    viewer = await console.person("read")
    assert "needs the role operator" in (await viewer.get("/health")).text
    assert (await viewer.get("/health/checks")).status == 403


async def _never() -> None:
    raise AssertionError("what was found a moment ago counts")


async def test_settings_say_what_is_set_and_hide_secrets(
    console: ConsoleRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDINGS_EMIAL_HOST", "x")
    person = await console.person("read", "operate")
    shown = await person.get("/settings")
    assert "TIDINGS_EMIAL_HOST is set, but Tidings has no such variable" in shown.text
    assert "TIDINGS_GRACE" in shown.text
    assert "Time to finish work in progress after SIGTERM" in shown.text
    changed = await person.get("/settings?set=true")
    assert "TIDINGS_DATABASE_URL" in changed.text
    assert "TIDINGS_GRACE" not in changed.text
    secret = console.api.settings.ledger.database_url.get_secret_value()
    if ":" in secret.rpartition("@")[0].removeprefix("postgresql://"):
        assert secret not in shown.text
    assert "TIDINGS_GRACE" in (await person.get("/settings?name=grace")).text
    assert "No setting has such a name" in (await person.get("/settings?name=nothing")).text
    for other in (
        await console.person("read"),
        await console.person("read", "operate", tenant="a"),
    ):
        assert (await other.get("/settings")).status == 403
