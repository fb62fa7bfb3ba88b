"""The RabbitMQ and PostgreSQL of another Debian, which live in a folder with everything they need."""

import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from types import MappingProxyType
from typing import Final

from tidings_local.errors import LocalStackError
from tidings_local.rabbitmq import RabbitMQ
from tidings_local.rabbitmq_programs import RabbitMQPrograms, find_rabbitmq

RELEASES: Final = MappingProxyType({13: "trixie", 14: "forky"})
"""By Debian's number, its name: 13 has RabbitMQ 4.0 and PostgreSQL 17, 14 RabbitMQ 4.3 and PostgreSQL 18."""

ENTER: Final = """
set -e
mount --bind /proc "$0/proc"
mount --rbind /dev "$0/dev"
mkdir -p "$0$2"
mount --bind "$2" "$0$2"
mkdir -p "$0$1"
mount --bind "$1" "$0$1"
tree=$0
shift 2
exec chroot "$tree" "$@"
"""
"""Mounts what it needs into the folder, seen by nobody else and gone when it ends."""


class RabbitMQInFolder(RabbitMQ):
    """A private RabbitMQ whose programs are inside `tree`. Needs root, to change into it."""

    def __init__(self, tree: Path, data: Path, *, statistics_interval: float = 0.5) -> None:
        super().__init__(data, statistics_interval=statistics_interval, spinning=False)
        self._tree = tree

    @property
    def _installed(self) -> RabbitMQPrograms:
        if self._programs is None:
            places = sorted(self._tree.glob("usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin"))
            if not places:
                raise LocalStackError(
                    f"there is no RabbitMQ in {self._tree}: delete it, and try again"
                )
            sbin = Path("/") / places[-1].relative_to(self._tree)
            version = sbin.parent.name.removeprefix("rabbitmq_server-")
            epmd = find_rabbitmq().epmd
            self._programs = RabbitMQPrograms(sbin, Path("/usr/bin/erl"), epmd, version)
        return self._programs

    def _programs_to_run(self) -> Path:
        return self._installed.sbin

    def _invocation(self, program: str, *arguments: str) -> list[str]:
        inside = super()._invocation(program, *arguments)
        alone = [_found("unshare"), "--mount", "--propagation", "private", "/bin/sh", "-c", ENTER]
        folders = [str(self._tree), str(self._directory.path), tempfile.gettempdir()]
        return [*alone, *folders, *inside]


def folder_of(debian: int) -> Path:
    """A folder with the servers of one of `RELEASES`; made by debootstrap the first time.

    Raises:
        LocalStackError: It can't be made here; says why.
    """
    tree = Path(f".local/debian-{debian}").absolute()
    if (tree / "etc/hosts").exists():
        return tree
    packages = "--include=rabbitmq-server,postgresql"
    command = [_found("debootstrap"), "--variant=minbase", packages, RELEASES[debian], str(tree)]
    # debootstrap may be older than the release; the script of all of them is the same.
    script = "/usr/share/debootstrap/scripts/sid"
    done = subprocess.run(
        [*command, _mirror(), script], check=False, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise LocalStackError(
            f"debootstrap could not make {tree}: {done.stdout[-500:]}{done.stderr}"
        )
    # Without it the node of RabbitMQ 4.3 does not find its own machine.
    (tree / "etc/hosts").write_text(f"127.0.0.1 localhost {socket.gethostname()}\n")
    return tree


def postgresql_home(tree: Path) -> Path:
    """A folder with PostgreSQL's programs for `PostgreSQL(home=…)`, made of what is in `tree`.

    Each program is a script that starts the one in `tree` with the C library that is there too. A
    program finds its data from the path it was started by, so the folder looks like the place where
    it was installed. No root is needed.
    """
    [programs] = tree.glob("usr/lib/postgresql/*/bin")
    home = tree / "postgresql" / programs.parent.relative_to(tree / "usr")
    loader = tree / "lib64/ld-linux-x86-64.so.2"
    libraries = f"{tree}/usr/lib/x86_64-linux-gnu"
    (home / "bin").mkdir(parents=True, exist_ok=True)
    for program in programs.iterdir():
        script = home / "bin" / program.name
        script.write_text(
            f'#!/bin/sh\nexec {loader} --library-path {libraries} --argv0 "$0" {program} "$@"\n'
        )
        script.chmod(0o755)
    _link(home / "lib", programs.parent / "lib")
    _link(tree / "postgresql/share", tree / "usr/share")
    return home


def _link(link: Path, target: Path) -> None:
    if not link.is_symlink():
        link.symlink_to(target)


def _mirror() -> str:
    """Where apt gets Debian's own packages from."""
    command = [_found("apt-get"), "indextargets", "--format", "$(SITE) $(ORIGIN) $(LABEL)"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    for line in lines:
        site, *words = line.split()
        if words == ["Debian", "Debian"]:
            return site
    raise LocalStackError("apt knows no mirror of Debian: run apt-get update first")


def _found(program: str) -> str:
    path = shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin")
    if path is None:
        raise LocalStackError(f"{program} is not installed on this machine")
    return path
