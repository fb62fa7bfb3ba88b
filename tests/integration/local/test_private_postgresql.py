"""A PostgreSQL of our own, started, stopped and killed for real."""

import os
import shutil
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from tests.support.local_servers import listening_addresses, processes_about, silent

from tidings_local.errors import LocalStackError, NotInstalled, StartFailed
from tidings_local.ports import LOOPBACK
from tidings_local.postgres import PostgreSQL
from tidings_local.waiting import wait_until

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs it as another user")


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.create_server((LOOPBACK, 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def directory(server_directory: Path, request: pytest.FixtureRequest) -> Path:
    """A directory of the test's own, which PostgreSQL's user can reach."""
    return server_directory / str(request.node.name)


async def test_what_was_committed_survives_a_crash(own_postgresql: PostgreSQL) -> None:
    url = own_postgresql.create_database("crash")
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE t (n int); INSERT INTO t VALUES (7)")
    own_postgresql.kill()
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await connection.fetchval("SELECT n FROM t")
    assert silent(own_postgresql.port)
    own_postgresql.start()
    assert own_postgresql.url("crash") == url, "clients reconnect to where they were connected"
    assert own_postgresql.psql("SELECT n FROM t", "crash") == "7\n"


async def test_a_restart_does_not_wait_for_those_who_are_connected(
    own_postgresql: PostgreSQL,
) -> None:
    connection = await asyncpg.connect(own_postgresql.url())
    own_postgresql.restart()
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await connection.fetchval("SELECT 1")
    assert own_postgresql.psql("SELECT 1") == "1\n"


def test_a_database_can_be_a_copy_and_have_any_name(own_postgresql: PostgreSQL) -> None:
    own_postgresql.create_database('the "model"')
    own_postgresql.psql("CREATE TABLE t AS SELECT 7 AS n", 'the "model"')
    own_postgresql.create_database("the copy", template='the "model"')
    assert own_postgresql.psql("SELECT n FROM t", "the copy") == "7\n"
    own_postgresql.drop_database("the copy")
    assert not own_postgresql.has_database("the copy")
    assert own_postgresql.has_database('the "model"')


def test_what_postgresql_refuses_is_quoted(own_postgresql: PostgreSQL) -> None:
    with pytest.raises(LocalStackError, match='database "postgres" already exists'):
        own_postgresql.create_database("postgres")


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="reads Linux's table of sockets")
def test_nothing_listens_beyond_this_machine(own_postgresql: PostgreSQL) -> None:
    assert listening_addresses(own_postgresql.port) == {"0100007F"}


async def test_nobody_gets_in_without_the_password(own_postgresql: PostgreSQL) -> None:
    stranger = own_postgresql.url().replace(own_postgresql.password, "guess")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(stranger)
    notes = own_postgresql.directory / "identity.json"
    assert stat.S_IMODE(notes.stat().st_mode) == 0o600
    assert not (own_postgresql.directory / "password").exists()


def test_it_takes_two_hundred_connections(own_postgresql: PostgreSQL) -> None:
    assert own_postgresql.psql("SHOW max_connections") == "200\n"


def test_it_writes_to_the_disk_unless_told_not_to(
    directory: Path, own_postgresql: PostgreSQL
) -> None:
    assert own_postgresql.psql("SHOW fsync") == "off\n"
    assert any((own_postgresql.directory / "data" / "pg_dynshmem").iterdir()), "and not in /dev/shm"
    careful = PostgreSQL(directory)
    careful.start()
    try:
        assert careful.psql("SHOW fsync") == "on\n"
    finally:
        careful.stop()


def test_it_moves_where_its_port_was_taken_meanwhile_and_keeps_its_data(
    directory: Path, busy_port: int
) -> None:
    first = PostgreSQL(directory, fsync=False)
    first.start()
    first.create_database("kept")
    first.stop()
    notes = directory / "identity.json"
    notes.write_text(notes.read_text().replace(str(first.port), str(busy_port)))
    second = PostgreSQL(directory, fsync=False)
    second.start()
    try:
        assert second.port != busy_port
        assert second.has_database("kept")
    finally:
        second.stop()
    assert wait_until(lambda: processes_about(directory) == [], 5), "it left processes behind"


def test_an_initdb_that_was_interrupted_is_done_again(directory: Path) -> None:
    (directory / "data.new" / "base").mkdir(parents=True)
    (directory / "data.new" / "PG_VERSION").write_text("15\n")
    postgresql = PostgreSQL(directory, fsync=False)
    postgresql.start()
    try:
        assert postgresql.psql("SELECT 1") == "1\n"
    finally:
        postgresql.close()


def test_data_of_a_version_that_is_not_installed_is_named(directory: Path) -> None:
    (directory / "data").mkdir(parents=True)
    (directory / "data" / "PG_VERSION").write_text("12\n")
    with pytest.raises(LocalStackError, match=r"written by PostgreSQL 12, .* or delete"):
        PostgreSQL(directory).start()


def test_data_that_is_damaged_is_named_by_the_server(directory: Path) -> None:
    postgresql = PostgreSQL(directory, fsync=False)
    postgresql.start()
    postgresql.stop()
    (directory / "data" / "global" / "pg_control").unlink()
    with pytest.raises(StartFailed, match="could not find the database system"):
        postgresql.start()


def test_where_it_is_not_installed_the_way_out_is_named(directory: Path) -> None:
    with pytest.raises(NotInstalled, match=r"PostgreSQL 13 or newer .*tidings_local\.packages"):
        PostgreSQL(directory, home=directory).start()


@root_only
def test_data_is_kept_elsewhere_where_its_user_cannot_reach_it(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    lines: list[str] = []
    postgresql = PostgreSQL(tmp_path / "data", fsync=False, say=lines.append)
    try:
        postgresql.start()
        assert postgresql.directory.name.startswith("tidings-")
        assert not postgresql.directory.is_relative_to(tmp_path)
        assert len(lines) == 1
        assert str(postgresql.directory) in lines[0]
        again = PostgreSQL(tmp_path / "data", fsync=False, say=lines.append)
        postgresql.create_database("kept")
        postgresql.stop()
        again.start()
        assert again.has_database("kept")
        again.stop()
    finally:
        postgresql.close()
        shutil.rmtree(postgresql.directory, ignore_errors=True)


@root_only
def test_somebody_elses_directory_is_not_used(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    lines: list[str] = []
    postgresql = PostgreSQL(tmp_path / "data", fsync=False, say=lines.append)
    postgresql.start()
    postgresql.stop()
    try:
        os.chown(postgresql.directory, 65534, 65534)
        with pytest.raises(LocalStackError, match="is not ours"):
            PostgreSQL(tmp_path / "data", say=lines.append).start()
    finally:
        shutil.rmtree(postgresql.directory)
