"""An error of PostgreSQL names the server: host and port, and never the password."""

import pytest

from tidings.ledger.encryption import place_of


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("postgresql://u:hunter2@db.example.com:6432/tidings", "db.example.com:6432"),
        ("postgresql://u:hunter2@db.example.com/tidings", "db.example.com:5432"),
        ("postgresql://u:p%40ss@a:1,b/tidings", "a:1, b:5432"),
        ("postgresql://[::1]:6432/tidings", "[::1]:6432"),
        ("postgresql:///tidings?host=/var/run/postgresql", "/var/run/postgresql"),
        ("postgresql:///tidings?host=db&port=7000", "db:7000"),
        ("postgresql:///tidings", "localhost:5432"),
    ],
)
def test_a_url_names_its_servers(url: str, place: str) -> None:
    assert place_of(url, {}) == f"PostgreSQL at {place}"


def test_libpq_s_own_variables_count_too() -> None:
    environment = {"PGHOST": "db", "PGPORT": "6000"}
    assert place_of("postgresql:///tidings", environment) == "PostgreSQL at db:6000"
