"""Haraka, which refuses whatever comes behind the end of a mail before it has answered."""

import shutil

from tests.mta.npm import HOME, OURS, NodeServer
from tests.mta.server import Manners, Row


class Haraka(NodeServer):
    """One plugin of ours says whom it has mail for."""

    name = "haraka"
    rows = frozenset({Row.DEFERRED, Row.UNRELAYABLE})

    def _configure(self, manners: Manners) -> None:
        super()._configure(manners)
        for name in ("config", "plugins"):
            (self.data / name).mkdir(exist_ok=True)
        config = self.data / "config"
        config.joinpath("me").write_text("mail.example.com\n")
        config.joinpath("plugins").write_text("haraka_mailboxes\n")
        config.joinpath("smtp.ini").write_text(f"listen=127.0.0.1:{self.port}\nnodes=0\n")
        config.joinpath("log.ini").write_text("[main]\nlevel=notice\n")
        shutil.copy(HOME / "node_modules/Haraka/config/connection.ini", config)
        shutil.copy(OURS / "haraka_mailboxes.js", self.data / "plugins")

    def _command(self) -> list[str]:
        return [self._binary("haraka"), "-c", str(self.data)]
