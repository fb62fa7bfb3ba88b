"""A real PgBouncer in front of a PostgreSQL."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from tests.support.debian import libraries_in, unpacked

from tidings_local.daemon import Command, Daemon, minimal_environment
from tidings_local.ports import LOOPBACK, answers, free_port
from tidings_local.postgres_programs import unprivileged_account

CONFIG: Final = """\
[databases]
* = host={server.hostname} port={server.port} user={server.username} password={server.password}

[pgbouncer]
listen_addr = {address}
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
server_round_robin = {round_robin:d}
default_pool_size = {sessions}
"""


@contextmanager
def pgbouncer(
    folder: Path, server_url: str, mode: str, *, round_robin: bool = False, sessions: int = 20
) -> Iterator[str]:
    """Where a PgBouncer answers that leads to the same database.

    Args:
        folder: For its configuration and log; its own user can reach it.
        server_url: The database.
        mode: `session` or `transaction`.
        sessions: Most that it has with PostgreSQL.
        round_robin: Whether it hands out its connections in turn, and not the last one first.
    """
    programs = folder / "pgbouncer"
    if not programs.exists():  # its own user can't reach every place that we can
        shutil.copytree(
            unpacked("pgbouncer", "pgbouncer", "libc-ares2", "libevent-2.1-7"), programs
        )
    server, port = urlsplit(server_url), free_port()
    config = folder / f"pgbouncer-{port}.ini"
    config.write_text(
        CONFIG.format(
            server=server,
            address=LOOPBACK,
            port=port,
            mode=mode,
            round_robin=round_robin,
            sessions=sessions,
        )
    )
    config.chmod(0o644)
    daemon = Daemon(
        Command(
            name="PgBouncer",
            argv=[str(programs / "usr/sbin/pgbouncer"), str(config)],
            log=config.with_suffix(".log"),
            env=minimal_environment(**libraries_in(programs)),
            cwd=folder,
            account=unprivileged_account(),
        )
    )
    try:
        daemon.wait_until_ready(lambda: answers(port), 10)
        yield urlunsplit(server._replace(netloc=f"{server.username}@{LOOPBACK}:{port}"))
    finally:
        daemon.kill()
