"""A RabbitMQ of another Debian, which lives in a folder with everything it needs."""

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from tidings.local.errors import LocalStackError
from tidings.local.rabbitmq import RabbitMQ
from tidings.local.rabbitmq_programs import RabbitMQPrograms, find_rabbitmq

RELEASE: Final = "trixie"
"""Debian 13, whose RabbitMQ is a 4."""

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
        super().__init__(data, statistics_interval=statistics_interval)
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

    def _invocation(self, program: str, *arguments: str) -> list[str]:
        inside = super()._invocation(program, *arguments)
        alone = [_found("unshare"), "--mount", "--propagation", "private", "/bin/sh", "-c", ENTER]
        folders = [str(self._tree), str(self._directory.path), tempfile.gettempdir()]
        return [*alone, *folders, *inside]


def build(tree: Path) -> None:
    """Make the folder with debootstrap, from the mirror that this machine's apt uses; or find it made.

    Raises:
        LocalStackError: It can't be made here; says why.
    """
    if (tree / "usr/lib/rabbitmq").exists():
        return
    mirror = _mirror()
    command = [_found("debootstrap"), "--variant=minbase", "--include=rabbitmq-server", RELEASE]
    done = subprocess.run(
        [*command, str(tree), mirror], check=False, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise LocalStackError(
            f"debootstrap could not make {tree}: {done.stdout[-500:]}{done.stderr}"
        )


def _mirror() -> str:
    """Where apt gets Debian's own packages from."""
    asked = [_found("apt-get"), "indextargets", "--format", "$(SITE) $(ORIGIN) $(LABEL)"]
    lines = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.splitlines()
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
