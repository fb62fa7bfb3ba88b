"""A PostgreSQL that shows a certificate: verified unless it is on this machine or the URL says less."""

import os
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme
from pydantic import SecretStr
from tests.conftest import start_or_skip

from tidings.delivery.errors import ConfigurationError, LedgerUnavailable
from tidings.ledger import migrate
from tidings.ledger.database import Connection, PostgresDatabase
from tidings.ledger.encryption import address_of
from tidings.settings import LedgerSettings
from tidings_local.ports import LOOPBACK
from tidings_local.postgres import PostgreSQL

ELSEWHERE = "127.1"
"""A name that is not known to be this machine, and yet leads to it."""
ENCRYPTED = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"


@pytest.fixture(scope="module")
def encrypted(session_postgresql: PostgreSQL, authority: trustme.CA) -> Iterator[str]:
    """Where a database is whose server offers TLS, with a certificate for its address."""
    start_or_skip(session_postgresql)
    data = session_postgresql.directory / "data"
    certificate = authority.issue_cert(LOOPBACK)
    files = {
        "ssl_cert_file": certificate.cert_chain_pems[0],
        "ssl_key_file": certificate.private_key_pem,
    }
    for name, content in files.items():
        path = data / f"{name}.pem"
        content.write_to_path(str(path))
        path.chmod(0o600)
        os.chown(path, data.stat().st_uid, data.stat().st_gid)
        session_postgresql.psql(f"ALTER SYSTEM SET {name} = '{path}'")
    session_postgresql.psql("ALTER SYSTEM SET ssl = on")
    session_postgresql.psql("SELECT pg_reload_conf()")
    yield session_postgresql.create_database("encrypted")
    session_postgresql.drop_database("encrypted")
    session_postgresql.psql("ALTER SYSTEM RESET ALL")
    session_postgresql.psql("SELECT pg_reload_conf()")


def elsewhere(url: str) -> str:
    """The same server, by a name that could be anybody's."""
    return url.replace(f"@{LOOPBACK}:", f"@{ELSEWHERE}:")


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Connection]:
    settings = LedgerSettings(database_url=SecretStr(url), database_timeout=5)
    async with PostgresDatabase(settings) as database, database.connection() as connection:
        yield connection


async def refusal(url: str) -> str:
    """What everything that connects says: roles, and `tidings migrate`."""
    with pytest.raises(LedgerUnavailable) as role:
        async with connected(url):
            pass
    with pytest.raises(LedgerUnavailable) as command:
        await migrate(url)
    message = str(role.value).partition(": ")[2]
    assert str(command.value).endswith(message)
    return message


async def test_a_certificate_from_the_given_authority_is_verified_and_used(
    encrypted: str, ca_file: Path
) -> None:
    url = f"{encrypted}?sslmode=verify-full&sslrootcert={ca_file}"
    async with connected(url) as connection:
        assert await connection.fetchval(ENCRYPTED)
    assert (await migrate(url)).ok


async def test_by_itself_another_machine_s_certificate_is_verified(
    encrypted: str, ca_file: Path
) -> None:
    assert re.search(
        r"not trusted .*sslrootcert in TIDINGS_DATABASE_URL", await refusal(elsewhere(encrypted))
    )
    other_name = f"{elsewhere(encrypted)}?sslrootcert={ca_file}"
    assert "for another name; let TIDINGS_DATABASE_URL" in await refusal(other_name)


async def test_what_the_system_does_not_vouch_for_is_refused_by_verify_full(encrypted: str) -> None:
    assert "not trusted" in await refusal(f"{encrypted}?sslmode=verify-full")


@pytest.mark.parametrize(
    ("mode", "encrypts"), [("disable", False), ("prefer", True), ("require", True)]
)
async def test_less_has_to_be_asked_for(encrypted: str, mode: str, encrypts: bool) -> None:
    async with connected(f"{elsewhere(encrypted)}?sslmode={mode}") as connection:
        assert await connection.fetchval(ENCRYPTED) is encrypts


async def test_a_server_on_this_machine_need_not_prove_who_it_is(encrypted: str) -> None:
    async with connected(encrypted) as connection:
        assert await connection.fetchval(ENCRYPTED)


async def test_a_server_without_tls_is_told_with_both_ways_out(postgresql_url: str) -> None:
    message = await refusal(elsewhere(postgresql_url))
    assert (
        "turn it on there, or, on a private network, add sslmode=disable to TIDINGS_DATABASE_URL"
        in message
    )


async def test_an_authority_that_can_not_be_read_is_told_by_where_it_is_named() -> None:
    with pytest.raises(ConfigurationError, match="sslrootcert in TIDINGS_DATABASE_URL: /none"):
        async with connected("postgresql://db.example/tidings?sslrootcert=/none"):
            pass


@pytest.mark.parametrize(
    ("url", "environment", "verified"),
    [
        ("postgresql://db.example/t", {}, True),
        ("postgresql://10.0.0.1:5432/t", {}, True),
        ("postgresql://u:p%40@localhost,db.example:5433/t", {}, True),
        ("postgresql://[2001:db8::1]:5432/t", {}, True),
        ("postgresql:///t?host=db.example", {}, True),
        ("postgresql:///t", {"PGHOST": "db.example"}, True),
        ("postgresql:///t?service=main", {}, True),
        ("postgresql://u:p@localhost:5432/t", {}, False),
        ("postgresql://127.0.0.1,[::1]:5432/t", {}, False),
        ("postgresql:///t?host=/var/run/postgresql", {}, False),
        ("postgresql://%2Fvar%2Frun/t", {}, False),
        ("postgresql:///t", {}, False),
        ("postgresql://db.example/t", {"PGSSLMODE": "prefer"}, False),
        ("postgresql://db.example/t?sslmode=require", {}, False),
        ("postgresql://localhost/t", {"PGSSLMODE": "verify-full"}, True),
    ],
)
def test_whose_certificate_is_verified(
    url: str, environment: dict[str, str], verified: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/nonexistent")
    address = address_of(url, environment)
    assert (address.tls is not None) is verified
    assert address.url == url
