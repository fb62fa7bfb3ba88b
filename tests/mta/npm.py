"""Mail servers from npm, in a cache folder of their own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.mta.folder import ROOT
from tests.mta.server import MailServer, Manners
from tests.support.npm import install

OURS: Final = Path(__file__).with_name("node")
"""Their versions, and what of them is ours."""
HOME: Final = ROOT / "npm"


class NodeServer(MailServer):
    """One that runs on Node."""

    def install(self) -> None:
        """Install all of them, in the versions that `node/package.json` names."""
        install(OURS / "package.json", HOME)

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
