"""Remembers a laptop's ports and secrets, so that what a terminal has sourced stays true when it is started again."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from tidings_local.data_directory import DataDirectory
from tidings_local.inherited import HARMLESS
from tidings_local.ports import free_port

ADDRESSES: Final = ("TIDINGS_AMQP_URL", "TIDINGS_MANAGEMENT_URL", "TIDINGS_DATABASE_URL")


class LastRun:
    """What the last run in a folder chose: each port, each secret, and every variable that it set.

    Raises:
        LocalStackError: What was written down is damaged.
    """

    def __init__(self, data: Path) -> None:
        self._directory = DataDirectory(data / "laptop")
        self._notes = self._directory.recall()
        self._ports: dict[str, int] = {}

    def others(self, environment: Mapping[str, str]) -> dict[str, str]:
        """An environment without the variables that lead to what ran here, as they are in a terminal that has
        sourced them: they name no server and no stand-in but our own. How to work is left as it is."""
        return {name: value for name, value in environment.items() if not self._led(name, value)}

    def _led(self, name: str, value: str) -> bool:
        leads = name in ADDRESSES or name not in HARMLESS
        return leads and self._notes.get(name) == value

    def port(self, name: str) -> int:
        """The port of the last run, or another if that is in use by now.

        Raises:
            LocalStackError: All are taken.
        """
        preferred = int(self._notes[name]) if name in self._notes else None
        self._ports[name] = free_port(preferred, avoid=self._ports.values())
        return self._ports[name]

    def secret(self, variable: str, make: Callable[[], str]) -> str:
        """What this variable was in the last run, or a new secret."""
        return self._notes.get(variable) or make()

    def remember(self, settings: Mapping[str, str]) -> None:
        """Write down the ports, and the variables that lead to them."""
        self._directory.path.mkdir(parents=True, exist_ok=True)
        ports = {name: str(port) for name, port in self._ports.items()}
        self._directory.remember({**ports, **settings})
