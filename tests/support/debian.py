"""Programs from Debian's packages, unpacked into a folder: nothing is installed on the machine."""

import fcntl
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tidings_local.errors import LocalStackError

PACKAGES: Final = Path(".local/packages")
"""Kept between runs."""


def unpacked(name: str, *packages: str) -> Path:
    """A folder with what these packages contain; downloaded the first time.

    Raises:
        LocalStackError: They can't be had here; says why.
    """
    folder = PACKAGES.resolve() / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the processes of one test run share the folder
        if not folder.exists():
            _unpack(folder, packages)
    return folder


def libraries_in(folder: Path) -> Mapping[str, str]:
    """What has the programs in the folder find their libraries."""
    places = sorted({str(it.parent) for it in folder.glob("usr/lib/*/*.so*")})
    return {"LD_LIBRARY_PATH": os.pathsep.join(places)}


def _unpack(folder: Path, packages: tuple[str, ...]) -> None:
    draft = folder.with_suffix(".new")
    draft.mkdir(exist_ok=True)
    try:
        _run(draft, "apt-get", "download", *packages)
    except LocalStackError:  # lists of packages that are missing, or older than the packages
        _run(draft, "apt-get", "update", "-qq")
        _run(draft, "apt-get", "download", *packages)
    for package in draft.glob("*.deb"):
        _run(draft, "dpkg-deb", "--extract", package.name, ".")
        package.unlink()
    draft.rename(folder)


def _run(folder: Path, *command: str) -> None:
    done = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise LocalStackError(f"`{' '.join(command)}` failed: {done.stderr.strip()[-500:]}")
