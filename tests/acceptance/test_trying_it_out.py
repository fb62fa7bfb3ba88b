"""What a newcomer types first: everything on one machine, with a tour of it."""

import stat
from pathlib import Path

from tests.support.processes import tidings


async def test_the_tour_shows_delivery_retry_and_replay_and_leaves_nothing_running(
    server_directory: Path,
) -> None:
    finished = await tidings(
        "up", "--once", "--data", str(server_directory / "data"), env={}, within=110
    )
    assert finished.code == 0, finished
    assert finished.out.count("✓") >= 4
    for seen in ("delivered", "retried", "dead-lettered", "attempt 1 of replay 1"):
        assert seen in finished.out
    environment = server_directory / "data" / "env"
    assert stat.S_IMODE(environment.stat().st_mode) == 0o600
    assert "export TIDINGS_AMQP_URL=" in environment.read_text()
    assert not [one for one in _command_lines() if str(server_directory / "data") in one]


def _command_lines() -> list[str]:
    """Every process's command line, as far as we may read it."""
    lines = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(process.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue  # it ended meanwhile
    return lines
