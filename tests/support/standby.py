"""A real standby of a private PostgreSQL, which can be promoted."""

import os
import subprocess
from pathlib import Path

from tidings_local.daemon import minimal_environment
from tidings_local.errors import StartFailed
from tidings_local.ports import LOOPBACK, free_port
from tidings_local.postgres import USER, PostgreSQL
from tidings_local.postgres_cluster import cluster_version, write_settings
from tidings_local.postgres_programs import PostgreSQLPrograms


def let_replicate(primary: PostgreSQL) -> None:
    """A laptop's PostgreSQL replicates to nobody unless it is told to."""
    primary.psql("ALTER SYSTEM SET wal_level = replica")
    primary.psql("ALTER SYSTEM SET max_wal_senders = 4")
    primary.restart()


class Standby(PostgreSQL):
    """Copied from its primary when it is first started, and following it from then on."""

    def __init__(self, data: Path, primary: PostgreSQL, home: Path | None) -> None:
        super().__init__(data, home=home, fsync=False)
        self._primary = primary

    def promote(self) -> None:
        """Take writes from now on."""
        self.psql("SELECT pg_promote()")

    def _prepare(self, programs: PostgreSQLPrograms) -> None:
        if not self._identity:
            self._identity = {"port": str(free_port()), "password": self._primary.password}
        if cluster_version(self._data) is None:
            self._copy(programs)
        write_settings(self._data, self.port, fsync=False)

    def _copy(self, programs: PostgreSQLPrograms) -> None:
        account = self._account
        self._data.mkdir(mode=0o700)
        if account:
            os.chown(self._data, account.uid, account.gid)
        source = ["-h", LOOPBACK, "-p", str(self._primary.port), "-U", USER]
        done = subprocess.run(
            [
                str(programs.bin / "pg_basebackup"),
                *source,
                "-D",
                str(self._data),
                "-R",
                "-c",
                "fast",
            ],
            env=minimal_environment(PGPASSWORD=self._primary.password),
            cwd=self._data,
            capture_output=True,
            text=True,
            check=False,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
        if done.returncode != 0:
            raise StartFailed(f"pg_basebackup failed: {done.stderr.strip()}")
