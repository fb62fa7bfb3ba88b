"""How a connection to PostgreSQL is encrypted: verified, unless the URL asks for less.

asyncpg's own default is libpq's: use TLS if the server offers it, and verify nothing. That does not stop
an impostor, so it is used for servers on this machine alone.
"""

import os
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from tidings.runtime.certificates import distrust, verifying

VARIABLE: Final = "TIDINGS_DATABASE_URL"
AUTHORITY: Final = f"sslrootcert in {VARIABLE}"
VERIFY: Final = "verify-full"


@dataclass(frozen=True, slots=True)
class Address:
    """Where to connect, as asyncpg takes it: `connect(address.url, ssl=address.tls)`."""

    url: str
    tls: ssl.SSLContext | None
    """None leaves it to the URL."""


def address_of(url: str, environment: Mapping[str, str] = os.environ) -> Address:
    """A URL with the encryption it asks for, or else what its host needs.

    Args:
        environment: Has libpq's own variables, which asyncpg reads too.

    Raises:
        ConfigurationError: A file that it names can't be read.
    """
    query = dict(parse_qsl(urlsplit(url).query))
    mode = query.get("sslmode") or environment.get("PGSSLMODE")
    if mode not in {None, VERIFY} or (mode is None and _is_here(url, query, environment)):
        return Address(url, None)
    authority = query.get("sslrootcert") or environment.get("PGSSLROOTCERT")
    if not authority and not (Path.home() / ".postgresql/root.crt").exists():
        return Address(url, _by_the_system(query))
    if authority:
        verifying(Path(authority), AUTHORITY)  # asyncpg would take it for a server that is away
    return Address(url if mode else f"{url}{'&' if query else '?'}sslmode={VERIFY}", None)


def place_of(url: str, environment: Mapping[str, str] = os.environ) -> str:
    """The server in a URL, for error texts: `PostgreSQL at db.example.com:5432`. No password."""
    try:
        netloc = urlsplit(url).netloc.rpartition("@")[2]
        query = dict(parse_qsl(urlsplit(url).query))
    except ValueError:
        return "PostgreSQL"
    hosts = unquote(netloc) or query.get("host") or environment.get("PGHOST") or "localhost"
    port = query.get("port") or environment.get("PGPORT") or "5432"
    return f"PostgreSQL at {', '.join(_with_port(host, port) for host in hosts.split(','))}"


def _with_port(host: str, port: str) -> str:
    """A socket's folder has none."""
    known = host.startswith("/") or ":" in host.rpartition("]")[2]
    return host if known else f"{host}:{port}"


def trouble(error: BaseException) -> str | None:
    """The problem with the encryption and its remedy; None if there is none."""
    if isinstance(error, ConnectionError) and "rejected SSL upgrade" in str(error):
        return (
            f"it offers no TLS; turn it on there, or, on a private network, "
            f"add sslmode=disable to {VARIABLE}"
        )
    return distrust(error, address=VARIABLE, authority=AUTHORITY)


def _by_the_system(query: Mapping[str, str]) -> ssl.SSLContext:
    """Verifies by the system's authorities, for which asyncpg has no word."""
    context = verifying(None, AUTHORITY)
    if "sslcert" in query:
        context.load_cert_chain(query["sslcert"], query.get("sslkey"), query.get("sslpassword", ""))
    return context


def _is_here(url: str, query: Mapping[str, str], environment: Mapping[str, str]) -> bool:
    hosts = urlsplit(url).netloc.rpartition("@")[2] or query.get("host", "")
    return (
        all(_is_local(host) for host in _names(hosts or environment.get("PGHOST", "")))
        and "service" not in query
    )


def _names(hosts: str) -> Iterator[str]:
    for each in hosts.split(","):
        host = unquote(each)
        yield host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]


def _is_local(host: str) -> bool:
    """Whether it is this machine: a socket's folder, loopback, or libpq's default."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host in {"", "localhost"} or host.startswith("/")
