"""Mail servers from npm, in a cache folder of their own."""

import fcntl
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.mta.folder import ROOT
from tests.mta.server import MailServer, Manners

from tidings_local.errors import LocalStackError

OURS: Final = Path(__file__).with_name("node")
"""Their versions, and what of them is ours."""
HOME: Final = ROOT / "npm"
_OPTIONS: Final = ("--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund")


class NodeServer(MailServer):
    """One that runs on Node."""

    def install(self) -> None:
        """Install all of them, in the versions that `node/package.json` names."""
        if shutil.which("npm") is None:
            raise LocalStackError(
                "Haraka, smtp-server and MailDev need Node 20 and npm: install them"
            )
        HOME.mkdir(parents=True, exist_ok=True)
        wanted, installed = OURS / "package.json", HOME / "installed.json"
        with (HOME / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if installed.exists() and installed.read_bytes() == wanted.read_bytes():
                return
            shutil.copy(wanted, HOME / "package.json")
            done = subprocess.run(
                ["npm", "install", "--silent", *_OPTIONS],
                cwd=HOME, check=False, capture_output=True, text=True,
            )  # fmt: skip
            if done.returncode != 0:
                raise LocalStackError(f"npm could not install {wanted}: {done.stdout}{done.stderr}")
            shutil.copy(wanted, installed)

    def _configure(self, manners: Manners) -> None:
        self._mailbox().mkdir(exist_ok=True)

    def _environment(self) -> Mapping[str, str]:
        return {
            "NODE_PATH": str(HOME / "node_modules"),
            "PORT": str(self.port),
            "MAILBOX": str(self._mailbox()),
        }

    def _binary(self, name: str) -> str:
        return str(HOME / "node_modules/.bin" / name)
