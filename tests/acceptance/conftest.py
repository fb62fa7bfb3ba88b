"""A migrated database, a broker and an SMTP server, and the settings that lead to them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.broker_rig import ONE_TIER
from tests.support.smtp_sink import SmtpSink


@pytest.fixture
async def sink() -> AsyncIterator[SmtpSink]:
    """An SMTP server that takes everything."""
    async with SmtpSink() as server:
        yield server


@pytest.fixture
def env(broker_url: str, database_url: str, sink: SmtpSink, tmp_path: Path) -> dict[str, str]:
    """Settings for a worker that sends mail to the sink, with short waits."""
    return {
        "TIDINGS_AMQP_URL": broker_url,
        "TIDINGS_DATABASE_URL": database_url,
        "TIDINGS_EMAIL_HOST": "127.0.0.1",
        "TIDINGS_EMAIL_PORT": str(sink.port),
        "TIDINGS_EMAIL_TLS": "none",
        "TIDINGS_EMAIL_SENDER": "Tidings <no-reply@example.com>",
        **ONE_TIER,
        "TIDINGS_EMAIL_RETRY": "1s 2s",
        "TIDINGS_EMAIL_CONCURRENCY": "20",
        "TIDINGS_EMAIL_CONNECTIONS": "20",
        "TIDINGS_EMAIL_SEND_TIMEOUT": "3s",
        "TIDINGS_LEASE_MARGIN": "1s",
        "TIDINGS_CATEGORIES": "{}",
        "TIDINGS_TEMPLATES_ROOT": str(tmp_path / "templates"),
        "TIDINGS_GRACE": "10s",
    }
