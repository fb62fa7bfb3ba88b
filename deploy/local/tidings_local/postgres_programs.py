"""Finds PostgreSQL's own programs on this machine, and the user its server may run as."""

import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tidings_local.daemon import Account
from tidings_local.errors import LocalStackError, NotInstalled

OLDEST = 13
"""The oldest major version Tidings works with."""

_PLACES = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/opt/homebrew/opt/postgresql/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
)


@dataclass(frozen=True, slots=True)
class PostgreSQLPrograms:
    """Where the programs are."""

    bin: Path
    """The directory of `postgres`, `initdb` and `psql`."""
    major: int


def find_postgresql(major: int | None = None, home: Path | None = None) -> PostgreSQLPrograms:
    """PostgreSQL's programs; the newest where there are several.

    Args:
        major: Only this major version, because the data was written by it.
        home: The directory that holds `bin/postgres`, instead of the usual places.

    Raises:
        NotInstalled: There is none of that version, or none at all.
    """
    places = [home / "bin", home] if home else list(_usual_places())
    found = [PostgreSQLPrograms(place, _major(place)) for place in places if _is_complete(place)]
    fitting = [it for it in found if it.major >= OLDEST and major in {None, it.major}]
    if not fitting:
        wanted = f"PostgreSQL {major}" if major else f"PostgreSQL {OLDEST} or newer"
        raise NotInstalled(wanted, str(home) if home else f"{', '.join(_PLACES)} and PATH")
    return max(fitting, key=lambda it: it.major)


def unprivileged_account() -> Account | None:
    """Whom the server runs as: PostgreSQL refuses to run as root, anyone else runs it himself.

    Raises:
        LocalStackError: We are root and the system has no user to hand.
    """
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise LocalStackError(
        "PostgreSQL does not run as root, and this system has neither a user postgres nor nobody: "
        "run this as another user"
    )


def _usual_places() -> Iterator[Path]:
    for pattern in _PLACES:
        yield from Path("/").glob(pattern.removeprefix("/"))
    for program in ("postgres", "initdb"):
        if on_path := shutil.which(program):
            yield Path(on_path).resolve().parent


def _is_complete(place: Path) -> bool:
    return all(os.access(place / name, os.X_OK) for name in ("postgres", "initdb", "psql"))


def _major(place: Path) -> int:
    """The major version a server says it is; 0 where it says nothing of the kind."""
    try:
        output = subprocess.run(
            [str(place / "postgres"), "--version"], capture_output=True, text=True, check=False
        ).stdout
    except OSError:
        return 0
    match = re.search(r"\(PostgreSQL\) (\d+)", output)
    return int(match[1]) if match else 0
