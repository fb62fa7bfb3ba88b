"""What a system's package manager calls RabbitMQ and PostgreSQL, and how it installs them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final


class Server(StrEnum):
    """What a laptop's own stack needs."""

    RABBITMQ = "RabbitMQ"
    POSTGRESQL = "PostgreSQL"


@dataclass(frozen=True, slots=True)
class Manager:
    """One package manager."""

    program: str
    names: dict[Server, str]
    install: tuple[str, ...]
    refresh: tuple[str, ...] = ()
    """What brings its lists up to date first; empty where it does that itself."""
    environment: tuple[str, ...] = ()
    as_root: bool = True
    """Whether it needs root; Homebrew refuses to run as root."""
    units: dict[Server, tuple[str, ...]] = field(default_factory=dict)
    """The system services its packages would run from the next boot on."""

    def commands(self, missing: Iterable[Server]) -> list[list[str]]:
        """What to run, without `sudo`, to install these."""
        before = ["env", *self.environment] if self.environment else []
        install = [*before, *self.install, *(self.names[server] for server in missing)]
        return [[*before, *self.refresh], install] if self.refresh else [install]


_UNITS: Final = {
    Server.RABBITMQ: ("rabbitmq-server.service", "epmd.service", "epmd.socket"),
    Server.POSTGRESQL: ("postgresql.service",),
}

APT: Final = Manager(
    program="apt-get",
    names={Server.RABBITMQ: "rabbitmq-server", Server.POSTGRESQL: "postgresql"},
    refresh=("apt-get", "-qq", "update"),
    # A machine that has just started is often busy with its own upgrades.
    install=(
        *("apt-get", "-qq", "-y", "-o", "DPkg::Lock::Timeout=300"),
        *("--no-install-recommends", "install"),
    ),
    environment=("DEBIAN_FRONTEND=noninteractive",),
    units=_UNITS,
)
DNF: Final = Manager(
    program="dnf",
    names={Server.RABBITMQ: "rabbitmq-server", Server.POSTGRESQL: "postgresql-server"},
    install=("dnf", "-q", "-y", "install"),
)
BREW: Final = Manager(
    program="brew",
    names={Server.RABBITMQ: "rabbitmq", Server.POSTGRESQL: "postgresql@17"},
    install=("brew", "install", "--quiet"),
    as_root=False,
)
KNOWN: Final = (APT, BREW, DNF)
