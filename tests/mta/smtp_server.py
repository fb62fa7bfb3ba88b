"""smtp-server, the library that test servers and products in Node are built on."""

from collections.abc import Mapping

from tests.mta.npm import OURS, NodeServer
from tests.mta.server import Manners, Row


class SmtpServer(NodeServer):
    """A program of ours around it says whom it has mail for."""

    name = "smtp-server"
    rows = frozenset({Row.DEFERRED, Row.UNRELAYABLE, Row.FEW_CONNECTIONS})
    _connections = 0

    def _configure(self, manners: Manners) -> None:
        super()._configure(manners)
        self._connections = manners.connections

    def _environment(self) -> Mapping[str, str]:
        return {**super()._environment(), "CONNECTIONS": str(self._connections)}

    def _command(self) -> list[str]:
        return ["/usr/bin/env", "node", str(OURS / "smtp_server.js")]
