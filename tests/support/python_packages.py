"""Packages from PyPI in a virtual environment of their own, in the versions that a requirements file pins."""

import fcntl
import shutil
import subprocess
import sys
from pathlib import Path

from tidings_local.errors import LocalStackError


def install(wanted: Path, folder: Path) -> Path:
    """Install what the file `wanted` names into the folder, unless it is there; the folder of its programs.

    Raises:
        LocalStackError: They can't be installed; says why.
    """
    folder.mkdir(parents=True, exist_ok=True)
    installed, programs = folder / "installed.txt", folder / "venv" / "bin"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if installed.exists() and installed.read_bytes() == wanted.read_bytes():
            return programs
        shutil.rmtree(folder / "venv", ignore_errors=True)
        uv = Path(sys.executable).with_name("uv")
        for command in (
            [uv, "venv", "--quiet", "--python", sys.executable, folder / "venv"],
            [
                uv,
                "pip",
                "sync",
                "--quiet",
                "--require-hashes",
                "--python",
                programs / "python",
                wanted,
            ],
        ):
            done = subprocess.run(command, check=False, capture_output=True, text=True)
            if done.returncode != 0:
                raise LocalStackError(f"uv could not install {wanted}: {done.stdout}{done.stderr}")
        shutil.copy(wanted, installed)
        return programs
