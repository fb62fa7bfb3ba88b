"""Debian packages in a folder of their own: nothing of them is installed on the system.

Mail servers conflict with one another as packages. So each is unpacked, with all that it depends on, into
a folder that its programs see as their root. No maintainer script runs.
"""

import fcntl
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tidings_local.errors import LocalStackError

ROOT: Final = Path(__file__).parents[2] / ".local/mta"
"""Where folders are made; they stay until `make clean`."""

_TOOLS: Final = ("dash", "coreutils", "sed", "grep", "findutils")
"""What servers' own start scripts call. Essential packages are nobody's dependency."""
_FIRST: Final = 5000
"""The number of a folder's first user."""
_UNREAD: Final = ("doc", "man", "locale", "i18n", "info", "zoneinfo")

_ALONE: Final = (
    "unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private",
)  # fmt: skip
_ENTER: Final = """
set -e
mount -t proc proc "$0/proc"
mount -t tmpfs tmpfs "$0/run"
mount -t tmpfs tmpfs "$0/dev"
for device in null zero random urandom; do
  : > "$0/dev/$device"
  mount --bind "/dev/$device" "$0/dev/$device"
done
ln -s /run/log "$0/dev/log"
mount --bind "$1" "$0/data"
tree=$0
shift
chroot "$tree" "$@" &
wait $!
"""
"""Mounts what it needs into the folder, seen by nobody else and gone when it ends.

The shell stays, as the first process of its namespace: where that is killed, as it is when `unshare` ends, all others
are.
"""


def obstacle() -> str:
    """Why no such folder can be made or entered here; empty where it can."""
    if os.geteuid() != 0:
        return "mail servers run in folders that only root can enter"
    for program in ("apt-get", "dpkg-deb", "tar", "unshare", "chroot"):
        if shutil.which(program) is None:
            return f"mail servers come from Debian's packages, and there is no {program} here"
    alone = subprocess.run([*_ALONE, "true"], check=False, capture_output=True, text=True)
    return f"this machine allows no namespaces: {alone.stderr.strip()}" if alone.returncode else ""


class Folder:
    """The folder of one server.

    Args:
        name: What it is called.
        packages: What is unpacked into it, with all dependencies.
        users: System users that the server wants.
    """

    def __init__(self, name: str, packages: Sequence[str], users: Sequence[str]) -> None:
        self.path = ROOT / name
        self._packages = packages
        self._everybody = ("mail", "daemon", "nobody", "vmail", *users)

    def make(self) -> None:
        """Download and unpack, unless that has been done.

        Raises:
            LocalStackError: It can't be made here; says why.
        """
        if self._made():
            return
        if reason := obstacle():
            raise LocalStackError(reason)
        ROOT.mkdir(parents=True, exist_ok=True)
        with _one_at_a_time(), tempfile.TemporaryDirectory(dir=ROOT) as building:
            if self._made():
                return
            tree = Path(building) / "tree"
            self._lay_out(tree)
            for package in _download(self._packages):
                _unpack(package, tree)
            self._name_users(tree)
            (tree / "made-of").write_text(self._recipe)
            shutil.rmtree(self.path, ignore_errors=True)
            tree.rename(self.path)

    def invocation(self, data: Path, *command: str) -> list[str]:
        """How to run a command of it, with `data` as its `/data`, in a process namespace of its own."""
        return [*_ALONE, "/bin/sh", "-c", _ENTER, str(self.path), str(data), *command]

    def uid(self, user: str) -> int:
        """The number of one of its users, which is that of the group of the same name."""
        return _FIRST + self._everybody.index(user)

    @property
    def _recipe(self) -> str:
        return f"{self._packages} {self._everybody} {Path(__file__).read_text()}"

    def _made(self) -> bool:
        """Whether it is there, made of the same, in the same way."""
        recipe = self.path / "made-of"
        return recipe.exists() and recipe.read_text() == self._recipe

    def _lay_out(self, tree: Path) -> None:
        """The directories that every Debian has, merged as in Debian 12."""
        for name in ("bin", "sbin", "lib", "lib64"):
            (tree / "usr" / name).mkdir(parents=True)
            (tree / name).symlink_to(f"usr/{name}")
        for name in ("etc", "proc", "dev", "data", "run", "var", "root"):
            (tree / name).mkdir()
        (tree / "var/run").symlink_to("/run")
        (tree / "tmp").mkdir()
        (tree / "tmp").chmod(0o1777)

    def _name_users(self, tree: Path) -> None:
        etc = tree / "etc"
        numbers = {"root": 0, **{user: self.uid(user) for user in self._everybody}}
        users = (f"{name}:x:{id}:{id}::/:/bin/sh\n" for name, id in numbers.items())
        groups = (f"{name}:x:{id}:\n" for name, id in numbers.items())
        etc.joinpath("passwd").write_text("".join(users))
        etc.joinpath("group").write_text("".join(groups))
        etc.joinpath("hosts").write_text("127.0.0.1 localhost mail.example.com mail\n")
        etc.joinpath("nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files\n")


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Several test processes may ask for the same."""
    with (ROOT / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _download(packages: Sequence[str]) -> list[Path]:
    """The packages and all that they depend on, as if nothing were installed here."""
    archives, empty = ROOT / "archives", ROOT / "empty"
    for place in (archives, empty):
        (place / "partial").mkdir(parents=True, exist_ok=True)
    try:
        _apt_get(archives, "install", "--download-only", *packages, *_TOOLS)
    except LocalStackError:  # a fresh machine knows of no packages yet, or of old ones
        _run("apt-get", "-q", "update")
        _apt_get(archives, "install", "--download-only", *packages, *_TOOLS)
    # It names those that are not in its archives: where these are empty, all.
    named = _apt_get(empty, "install", "--print-uris", *packages, *_TOOLS).splitlines()
    return [archives / line.split()[1] for line in named if line.startswith("'")]


def _apt_get(archives: Path, *arguments: str) -> str:
    options = {
        "Dir::State::status": "/dev/null",
        "Dir::Cache::archives": str(archives),
        "APT::Install-Recommends": "false",
    }
    settings = (word for name, value in options.items() for word in ("-o", f"{name}={value}"))
    return _run("apt-get", "-q", "-y", *settings, *arguments)


def _run(*command: str) -> str:
    """Run a command to its end; what it printed."""
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise LocalStackError(
            f"`{shlex.join(command)}` failed: {(done.stdout + done.stderr)[-2000:]}"
        )
    return done.stdout


def _unpack(package: Path, tree: Path) -> None:
    unread = [f"--exclude=./usr/share/{name}" for name in _UNREAD]
    with subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE
    ) as reading:
        subprocess.run(
            ["tar", "-C", str(tree), "--keep-directory-symlink", "-xf", "-", *unread],
            check=True,
            stdin=reading.stdout,
        )
    if reading.returncode != 0:
        raise LocalStackError(f"{package} can't be unpacked: delete it, and try again")
