"""A process that accepts, on lines that can be cut."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.submission_rig import SubmissionRig, submission_rig
from tests.support.worker_rig import eventually

from tidings.operations.backend import Backend


@pytest.fixture
def broker_url(lent_broker_url: str) -> str:
    """The topology is there, and others have worked in it."""
    return lent_broker_url


@pytest.fixture
async def rig(
    broker_url: str, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[SubmissionRig]:
    """Nothing runs yet."""
    async with submission_rig(broker_url, database_url, tmp_path, monkeypatch) as rig:
        yield rig


@pytest.fixture
async def backend(rig: SubmissionRig) -> AsyncIterator[Backend]:
    """It accepts, and is connected."""
    async with rig.accepting() as backend:
        await eventually(lambda: backend.intake.connected)
        yield backend
