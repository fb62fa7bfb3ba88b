"""Runs a private, real PostgreSQL: its own port, password and data."""

import logging
import os
import secrets
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from tidings_local.daemon import Command, Daemon, minimal_environment
from tidings_local.data_directory import DataDirectory
from tidings_local.errors import LocalStackError, NotInstalled
from tidings_local.ports import LOOPBACK, free_port
from tidings_local.postgres_cluster import (
    cluster_version,
    create_cluster,
    is_ready,
    reachable_directory,
    write_settings,
)
from tidings_local.postgres_programs import (
    PostgreSQLPrograms,
    find_postgresql,
    unprivileged_account,
)
from tidings_local.waiting import wait_until

USER = "tidings"
_logger = logging.getLogger(__name__)


class PostgreSQL:
    """A private PostgreSQL under a data directory; starting it again keeps its data."""

    def __init__(
        self,
        data: Path,
        *,
        home: Path | None = None,
        fsync: bool = True,
        start_limit: float = 60.0,
        say: Callable[[str], None] = _logger.warning,
    ) -> None:
        """Starts nothing yet.

        Args:
            data: The directory for everything it writes. As root the server runs as another user;
                where that user can't reach the directory, one under /var/tmp is used instead.
            home: Where PostgreSQL is installed, where that is not one of the usual places.
            fsync: Whether what is committed survives a power cut. Off is faster, for tests.
            start_limit: Seconds it may take to become ready.
            say: Told what a person should know, such as data kept elsewhere.
        """
        self._account = unprivileged_account()
        self._directory = DataDirectory(data)
        self._home = home
        self._fsync = fsync
        self._start_limit = start_limit
        self._say = say
        self._identity: dict[str, str] = {}
        self._programs: PostgreSQLPrograms | None = None
        self._server: Daemon | None = None

    @property
    def user(self) -> str:
        """The superuser's name."""
        return USER

    @property
    def password(self) -> str:
        return self._notes["password"]

    @property
    def port(self) -> int:
        return int(self._notes["port"])

    @property
    def directory(self) -> Path:
        """Where the data really is."""
        return self._directory.path

    @property
    def log(self) -> Path:
        """The file the server logs to."""
        return self._directory.path / "server.log"

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs."""
        return self._server.pid if self._server else None

    def url(self, database: str = "postgres") -> str:
        """Where to connect to a database."""
        return (
            f"postgresql://{USER}:{self.password}@{LOOPBACK}:{self.port}/{quote(database, safe='')}"
        )

    def running(self) -> bool:
        return self._server is not None and self._server.running()

    def start(self) -> None:
        """Starts the server and waits until it takes connections; does nothing where it runs.

        Raises:
            NotInstalled: PostgreSQL, or the version that wrote the data, is not on this machine.
            AlreadyRunning: Another process uses the data directory.
            StartFailed: It did not become ready; the message has the end of its log.
        """
        if self.running():
            return
        self._settle()
        try:
            programs = self._installed()
            self._prepare(programs)
            self._server = server = Daemon(self._server_command(programs))
            server.wait_until_ready(lambda: is_ready(self._data, server.pid), self._start_limit)
        except BaseException:
            self.close()
            raise

    def stop(self) -> None:
        """Ends the server in good order, cutting its connections; nothing where it doesn't run."""
        if self._server:
            self._server.stop(grace=30)
            self._server = None
        self._directory.release()

    def kill(self) -> None:
        """Ends the server with SIGKILL, as a crash would; `start()` brings it back."""
        if self._server:
            self._server.suspend()  # so that it starts no child while we look
            children = _children(self._server.pid)
            self._server.kill()
            self._server = None
            _end_for_good(children)

    def restart(self) -> None:
        """Stops it in good order and starts it again, on the same port."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Kill it; its data is not needed any more."""
        self.kill()
        self._directory.release()

    def create_database(self, name: str, template: str | None = None) -> str:
        """Creates a database, as a copy of another where one is named, and returns its URL."""
        copy = f" TEMPLATE {_identifier(template)}" if template else ""
        self.psql(f"CREATE DATABASE {_identifier(name)}{copy}")
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drops a database and cuts what is connected to it; does nothing where there is none."""
        self.psql(f"DROP DATABASE IF EXISTS {_identifier(name)} WITH (FORCE)")

    def has_database(self, name: str) -> bool:
        """Whether there is a database of this name."""
        return name in self.psql("SELECT datname FROM pg_database").splitlines()

    def psql(self, statement: str, database: str = "postgres", timeout: float = 60) -> str:
        """Runs one statement and returns its rows, a line each, fields separated by `|`.

        Raises:
            LocalStackError: It failed; the message has what PostgreSQL said.
        """
        argv = [str(self._installed().bin / "psql"), "-XAtq", "-v", "ON_ERROR_STOP=1"]
        done = subprocess.run(
            [
                *argv,
                "-h",
                LOOPBACK,
                "-p",
                str(self.port),
                "-U",
                USER,
                "-d",
                database,
                "-c",
                statement,
            ],
            env=minimal_environment(PGPASSWORD=self.password),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if done.returncode != 0:
            raise LocalStackError(f"PostgreSQL refused {statement!r}: {done.stderr.strip()}")
        return done.stdout

    @property
    def _data(self) -> Path:
        return self._directory.path / "data"

    @property
    def _notes(self) -> dict[str, str]:
        if not self._identity:
            raise LocalStackError("PostgreSQL has not been started yet, so it has no address")
        return self._identity

    def _installed(self) -> PostgreSQLPrograms:
        """The programs that fit the data: only the version that wrote it can read it."""
        if self._programs is not None:
            return self._programs
        written_by = cluster_version(self._data)
        try:
            self._programs = find_postgresql(written_by, self._home)
        except NotInstalled as error:
            if written_by is None:
                raise
            raise LocalStackError(
                f"the data in {self._data} was written by PostgreSQL {written_by}, which is not "
                f"installed: install it, or delete {self.directory} to start afresh"
            ) from error
        return self._programs

    def _settle(self) -> None:
        if self._server is None:
            place = reachable_directory(self._directory.path, self._account, self._say)
            if place != self._directory.path:
                self._directory = DataDirectory(place)
        self._directory.acquire()

    def _prepare(self, programs: PostgreSQLPrograms) -> None:
        """Decides port and password, the same as last time where possible, and writes the files."""
        if not self._identity:
            self._identity = _identity(self._directory.recall())
            self._directory.remember(self._identity)
        if cluster_version(self._data) is None:
            create_cluster(programs, self._data, self._account, USER, self.password)
        write_settings(self._data, self.port, fsync=self._fsync)

    def _server_command(self, programs: PostgreSQLPrograms) -> Command:
        return Command(
            name="PostgreSQL",
            argv=[str(programs.bin / "postgres"), "-D", str(self._data)],
            log=self.log,
            env=minimal_environment(),
            cwd=self._data,
            account=self._account,
            keep_open=(self._directory.lock,),
            stop_signal=signal.SIGINT,
        )


def _identity(notes: dict[str, str]) -> dict[str, str]:
    """Password and a port that is free now, the same as last time where possible."""
    preferred = int(notes["port"]) if "port" in notes else None
    return {
        "port": str(free_port(preferred)),
        "password": notes.get("password") or secrets.token_hex(12),
    }


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _children(pid: int) -> list[int]:
    """The processes a process started; they are not in its group."""
    listing = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True
    ).stdout
    pairs = (line.split() for line in listing.splitlines())
    return [int(child) for child, parent in pairs if int(parent) == pid]


def _end_for_good(pids: list[int]) -> None:
    """Kills processes and waits until they are gone: a new server refuses to start beside them."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if not wait_until(lambda: not any(map(_exists, pids)), 10):
        raise LocalStackError(f"of the killed PostgreSQL these processes remain: {pids}")


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
