"""Packages from npm, in a folder of their own, in the versions that a `package.json` names."""

import fcntl
import shutil
import subprocess
from pathlib import Path

from tidings_local.errors import LocalStackError

_OPTIONS = ("--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund")


def install(wanted: Path, folder: Path) -> None:
    """Install what the file `wanted` names into the folder, unless it is there.

    Raises:
        LocalStackError: There is no npm here, or it can't install them; says why.
    """
    if shutil.which("npm") is None:
        raise LocalStackError(f"the packages of {wanted} need Node 20 and npm: install them")
    folder.mkdir(parents=True, exist_ok=True)
    installed = folder / "installed.json"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if installed.exists() and installed.read_bytes() == wanted.read_bytes():
            return
        shutil.copy(wanted, folder / "package.json")
        done = subprocess.run(
            ["npm", "install", "--silent", *_OPTIONS],
            cwd=folder, check=False, capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode != 0:
            raise LocalStackError(f"npm could not install {wanted}: {done.stdout}{done.stderr}")
        shutil.copy(wanted, installed)
