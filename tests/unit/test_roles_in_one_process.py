"""Several roles in one process share what there is of it once."""

import subprocess
import sys

import pytest
from tests.doubles.inbox import SERVICES

from tidings import app
from tidings.broker.memory_budget import MemoryBudget
from tidings.delivery.inbox import SilentHints
from tidings.ledger import PostgresLedger
from tidings.settings import Settings
from tidings.telemetry.metrics import Metrics


async def test_a_worker_and_an_archive_in_one_process_hold_messages_on_one_account(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: list[MemoryBudget] = []

    def role(*_: object, memory_budget: MemoryBudget, **__: object) -> None:
        given.append(memory_budget)

    monkeypatch.setattr(app, "Worker", role)
    monkeypatch.setattr(app, "Archive", role)
    settings = Settings()
    ledger = PostgresLedger(settings.ledger, actor="a test")
    roles = ("worker", "archive")
    list(app._roles(settings, roles, (), ledger, SERVICES, SilentHints(), Metrics(), None))
    worker, archive = given
    assert worker is archive


def test_a_process_without_the_api_does_not_load_the_libraries_of_the_api() -> None:
    code = "import sys, tidings.app; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert {"fastapi", "uvicorn", "jwt"}.isdisjoint(done.stdout.split())
