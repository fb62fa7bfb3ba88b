"""Prepares what PostgreSQL keeps on disk: a directory its user can reach, a cluster, its settings."""

import hashlib
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

from tidings_local.daemon import Account, minimal_environment
from tidings_local.data_directory import write_private
from tidings_local.errors import LocalStackError, StartFailed
from tidings_local.ports import LOOPBACK
from tidings_local.postgres_config import CONFIG, FAST_AND_FORGETFUL
from tidings_local.postgres_programs import PostgreSQLPrograms

_RELOCATED = Path("/var/tmp")  # noqa: S108 - survives a reboot; ownership is checked


def reachable_directory(wanted: Path, account: Account | None, say: Callable[[str], None]) -> Path:
    """The directory, or one under /var/tmp where the server's user can't get into it.

    Raises:
        LocalStackError: Another user made the directory under /var/tmp.
    """
    if account is None:
        return wanted
    _open_to_passers_by(wanted)
    if _can_enter(account, wanted):
        return wanted
    elsewhere = _RELOCATED / _name_for(wanted)
    _open_to_passers_by(elsewhere)
    status = elsewhere.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise LocalStackError(f"{elsewhere} is not ours: remove it, or choose another directory")
    say(
        f"PostgreSQL does not run as root, and the user {account.name} can't reach {wanted}: "
        f"its data is in {elsewhere}"
    )
    return elsewhere


def cluster_version(data: Path) -> int | None:
    """The major version that wrote the data; None where there is none yet."""
    try:
        return int((data / "PG_VERSION").read_text().strip())
    except FileNotFoundError:
        return None


def create_cluster(
    programs: PostgreSQLPrograms, data: Path, account: Account | None, user: str, password: str
) -> None:
    """Runs `initdb`; one that was interrupted leaves nothing that looks finished.

    Raises:
        StartFailed: `initdb` failed; the message has what it said.
    """
    draft, secret = data.with_name("data.new"), data.with_name("password")
    _remove_draft(draft)
    draft.mkdir(mode=0o700)
    write_private(secret, password + "\n")
    try:
        _give(draft, account)
        _give(secret, account)
        _initdb(programs, draft, secret, account, user)
    finally:
        secret.unlink()
    draft.rename(data)


def write_settings(data: Path, port: int, *, fsync: bool) -> None:
    """Writes `postgresql.conf` whole."""
    settings = CONFIG.format(address=LOOPBACK, port=port)
    (data / "postgresql.conf").write_text(settings if fsync else settings + FAST_AND_FORGETFUL)


def is_ready(data: Path, pid: int) -> bool:
    """Whether the server with this process id takes connections: it says so in `postmaster.pid`."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) > 7 and lines[0] == str(pid) and lines[7].strip() == "ready"


def _initdb(
    programs: PostgreSQLPrograms, data: Path, secret: Path, account: Account | None, user: str
) -> None:
    done = subprocess.run(
        [
            *(str(programs.bin / "initdb"), "-D", str(data), "-U", user, "-E", "UTF8"),
            *("--no-locale", "--auth=scram-sha-256", f"--pwfile={secret}"),
        ],
        env=minimal_environment(),
        cwd=data,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
    )
    if done.returncode != 0:
        raise StartFailed(f"initdb failed: {(done.stderr or done.stdout).strip()}")


def _open_to_passers_by(directory: Path) -> None:
    """Makes the directory; others may pass through it, not list it."""
    directory.mkdir(mode=0o711, parents=True, exist_ok=True)
    if directory.lstat().st_uid == os.geteuid():
        directory.chmod(directory.lstat().st_mode | stat.S_IXOTH)


def _can_enter(account: Account, directory: Path) -> bool:
    done = subprocess.run(
        ["test", "-x", str(directory)],
        cwd="/",
        check=False,
        user=account.uid,
        group=account.gid,
        extra_groups=[],
    )
    return done.returncode == 0


def _name_for(directory: Path) -> str:
    readable = re.sub(r"[^A-Za-z0-9]+", "-", str(directory)).strip("-")[-60:]
    return f"tidings-{readable}-{hashlib.sha256(os.fsencode(directory)).hexdigest()[:8]}"


def _give(path: Path, account: Account | None) -> None:
    if account:
        os.chown(path, account.uid, account.gid)


def _remove_draft(draft: Path) -> None:
    if draft.exists():
        shutil.rmtree(draft)
