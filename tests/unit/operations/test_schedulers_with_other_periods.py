"""`tidings doctor` warns of schedulers that keep what has ended for different times."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from tidings.ledger.operators.processes import KnownProcess
from tidings.operations import health
from tidings.operations.actor import Actor
from tidings.operations.backend import Backend
from tidings.settings import Settings

NOW = datetime.now(UTC)


def scheduler(name: str, keeping: float) -> KnownProcess:
    roles = ["archive", "scheduler"]
    return KnownProcess(
        name, roles, name, 1, "1.0", [], "", {"*": keeping}, since=NOW, seen_at=NOW, running=True
    )


@pytest.mark.parametrize(("other", "warned"), [(30.0, False), (365.0, True)])
async def test_schedulers_whose_retention_differs_are_a_warning(
    monkeypatch: pytest.MonkeyPatch, other: float, warned: bool
) -> None:
    async def known(_: Backend) -> Sequence[KnownProcess]:
        return [scheduler("a", 30.0), scheduler("b", other)]

    monkeypatch.setattr(health, "list_", known)
    found = await health._processes(Settings(), Actor("cli", "jane@desk"), [])
    assert ("schedulers have different retention" in str(found)) is warned
