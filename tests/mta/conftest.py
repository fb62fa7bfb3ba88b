"""A mail server in a folder of its own, and an installation of Tidings that hands mail to it."""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.mta.folder import obstacle
from tests.mta.rig import Rig
from tests.mta.server import DebianServer, MailServer
from tests.support.broker_rig import ONE_TIER
from tests.support.processes import tidings


@pytest.fixture
def server(request: pytest.FixtureRequest, server_directory: Path) -> Iterator[MailServer]:
    """The server whose class is the parameter, installed and not started."""
    kind: type[MailServer] = request.param
    if issubclass(kind, DebianServer) and (reason := obstacle()):
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    data = server_directory / f"{kind.name}-{secrets.token_hex(4)}"
    data.mkdir()
    made = kind(data)
    made.install()
    yield made
    made.kill()


@pytest.fixture
async def rig(broker_url: str, database_url: str, server: MailServer, tmp_path: Path) -> Rig:
    """Tidings with short waits, its topology declared, no worker running yet."""
    env = {
        "TIDINGS_AMQP_URL": broker_url,
        "TIDINGS_DATABASE_URL": database_url,
        "TIDINGS_EMAIL_HOST": "127.0.0.1",
        "TIDINGS_EMAIL_PORT": str(server.port),
        "TIDINGS_EMAIL_TLS": "none",
        "TIDINGS_EMAIL_SENDER": "Tidings <no-reply@example.com>",
        **ONE_TIER,
        "TIDINGS_EMAIL_RETRY": "1s 1s",
        "TIDINGS_EMAIL_CONCURRENCY": "20",
        "TIDINGS_EMAIL_CIRCUIT_PROBE": "1s",
        "TIDINGS_EMAIL_SEND_TIMEOUT": "5s",
        "TIDINGS_LEASE_MARGIN": "1s",
        "TIDINGS_CATEGORIES": "{}",
        "TIDINGS_TEMPLATES_ROOT": str(tmp_path / "templates"),
        "TIDINGS_GRACE": "10s",
    }
    declared = await tidings("topology", "apply", env=env)
    assert declared.code == 0, declared.err
    return Rig(server, env, tmp_path / "worker.log")
