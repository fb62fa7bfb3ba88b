"""What a system's package manager calls RabbitMQ, PostgreSQL and Chromium, and how it installs them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from tidings_local.chromium import WITHOUT_WINDOWS


class Program(StrEnum):
    """What is installed if it is missing."""

    RABBITMQ = "RabbitMQ"
    POSTGRESQL = "PostgreSQL"
    CHROMIUM = "Chromium"


STACK: Final = (Program.RABBITMQ, Program.POSTGRESQL)
"""What a laptop's own stack needs; the tests need a browser too."""


@dataclass(frozen=True, slots=True)
class Manager:
    """One package manager."""

    program: str
    names: dict[Program, str]
    install: tuple[str, ...]
    refresh: tuple[str, ...] = ()
    """What brings its lists up to date first; empty where it does that itself."""
    environment: tuple[str, ...] = ()
    as_root: bool = True
    """Whether it needs root; Homebrew refuses to run as root."""
    units: dict[Program, tuple[str, ...]] = field(default_factory=dict)
    """The system services its packages would run from the next boot on."""

    def commands(self, missing: Iterable[Program]) -> list[list[str]]:
        """What to run, without `sudo`, to install these."""
        before = ["env", *self.environment] if self.environment else []
        install = [*before, *self.install, *(self.names[server] for server in missing)]
        return [[*before, *self.refresh], install] if self.refresh else [install]


_UNITS: Final = {
    Program.RABBITMQ: ("rabbitmq-server.service", "epmd.service", "epmd.socket"),
    Program.POSTGRESQL: ("postgresql.service",),
}

APT: Final = Manager(
    program="apt-get",
    names={
        Program.RABBITMQ: "rabbitmq-server",
        Program.POSTGRESQL: "postgresql",
        Program.CHROMIUM: WITHOUT_WINDOWS,
    },
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
    names={
        Program.RABBITMQ: "rabbitmq-server",
        Program.POSTGRESQL: "postgresql-server",
        Program.CHROMIUM: "chromium",
    },
    install=("dnf", "-q", "-y", "install"),
)
BREW: Final = Manager(
    program="brew",
    names={
        Program.RABBITMQ: "rabbitmq",
        Program.POSTGRESQL: "postgresql@17",
        Program.CHROMIUM: "chromium",
    },
    install=("brew", "install", "--quiet"),
    as_root=False,
)
KNOWN: Final = (APT, BREW, DNF)
