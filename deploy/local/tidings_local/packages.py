"""Sees to it that RabbitMQ and PostgreSQL, and for tests Chromium, are on this machine, or says what to do."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

from tidings_local.chromium import (
    WITHOUT_WINDOWS,
    find_chromium,
    find_chromium_without_windows,
)
from tidings_local.errors import LocalStackError, NotInstalled
from tidings_local.package_managers import KNOWN, STACK, Manager, Program
from tidings_local.postgres_programs import find_postgresql
from tidings_local.quiet_installation import installing_without_starting
from tidings_local.rabbitmq_programs import find_rabbitmq

_TESTED_ELSEWHERE = (
    "TIDINGS_TEST_AMQP_URL",
    "TIDINGS_TEST_MANAGEMENT_URL",
    "TIDINGS_TEST_DATABASE_URL",
)
_DOCKER = """\
or start both with Docker, which answers on this machine:
    docker run -d --name tidings-rabbitmq -p 127.0.0.1:5672:5672 -p 127.0.0.1:15672:15672 rabbitmq:4-management
    docker run -d --name tidings-postgres -p 127.0.0.1:5432:5432 -e POSTGRES_USER=tidings -e POSTGRES_PASSWORD=tidings postgres:17
  and lead `make run` to them:
    export TIDINGS_AMQP_URL=amqp://guest:guest@127.0.0.1:5672
    export TIDINGS_DATABASE_URL=postgresql://tidings:tidings@127.0.0.1:5432/tidings
  and `make test`:
    export TIDINGS_TEST_AMQP_URL=amqp://guest:guest@127.0.0.1:5672
    export TIDINGS_TEST_MANAGEMENT_URL=http://guest:guest@127.0.0.1:15672
    export TIDINGS_TEST_DATABASE_URL=postgresql://tidings:tidings@127.0.0.1:5432/tidings"""


@dataclass(frozen=True, slots=True)
class Machine:
    """What decides how something gets installed here."""

    manager: Manager | None
    root: bool
    sudo: bool
    """Whether `sudo` asks no password."""
    docker: bool
    """Whether a Docker daemon answers."""

    @property
    def may_install(self) -> bool:
        """Whether packages can be installed without asking a person for anything."""
        if self.manager is None:
            return False
        return (self.root or self.sudo) if self.manager.as_root else not self.root


FINDERS: Final[Mapping[Program, Callable[[], object]]] = {
    Program.RABBITMQ: find_rabbitmq,
    Program.POSTGRESQL: find_postgresql,
    Program.CHROMIUM: find_chromium,
}
"""What finds each one's programs, or raises `NotInstalled`."""


def ensure_installed(
    say: Callable[[str], None],
    needed: Collection[Program] = STACK,
    *,
    finders: Mapping[Program, Callable[[], object]] = FINDERS,
    machine: Machine | None = None,
) -> None:
    """Installs what is missing of what is needed; quiet where nothing is.

    Args:
        say: Told what is done.
        needed: What to look for.
        finders: What looks for them.
        machine: Where this runs; looked at where None.

    Raises:
        LocalStackError: Something is missing and can't be installed; the message says what to run.
    """
    missing = [server for server in needed if not _found(finders[server])]
    if not missing:
        return
    machine = machine or survey()
    manager = machine.manager
    if manager is None or not machine.may_install:
        raise LocalStackError(advice(missing, machine))
    say(f"{_named(missing)} missing: installing with {manager.program}, starting no service")
    _install(manager, missing, ["sudo", "-n"] if manager.as_root and not machine.root else [])
    if still := [server for server in missing if not _found(finders[server])]:
        raise LocalStackError(f"{manager.program} succeeded, but {_named(still)} still not found")


def needed_servers(environment: Mapping[str, str]) -> list[Program]:
    """The servers that are not provided by setting `TIDINGS_AMQP_URL`, `TIDINGS_DATABASE_URL`."""
    brought = {
        Program.RABBITMQ: environment.get("TIDINGS_AMQP_URL"),
        Program.POSTGRESQL: environment.get("TIDINGS_DATABASE_URL"),
    }
    return [server for server in STACK if not brought[server]]


def survey() -> Machine:
    """Looks at this machine."""
    return Machine(
        manager=next((it for it in KNOWN if shutil.which(it.program)), None),
        root=os.geteuid() == 0,
        sudo=_succeeds("sudo", "-n", "true"),
        docker=_succeeds("docker", "info"),
    )


def advice(missing: list[Program], machine: Machine) -> str:
    """What a person can do about what is missing."""
    what = f"{_named(missing)} not installed"
    if machine.manager is None:
        lines = [f"{what}, and this system's package manager is none that Tidings knows"]
    else:
        prefix = "sudo " if machine.manager.as_root and not machine.root else ""
        commands = machine.manager.commands(missing)
        lines = [f"{what}; install with:"]
        lines += [f"    {prefix}{shlex.join(command)}" for command in commands]
    if machine.docker:
        lines.append(_DOCKER)
    return "\n".join(lines)


def _install(manager: Manager, missing: list[Program], sudo: list[str]) -> None:
    units = [unit for server in missing for unit in manager.units.get(server, ())]
    with installing_without_starting(sudo, units):
        for command in manager.commands(missing):
            done = subprocess.run([*sudo, *command], stdin=subprocess.DEVNULL, check=False)
            if done.returncode != 0:
                raise LocalStackError(
                    f"`{shlex.join([*sudo, *command])}` failed with status {done.returncode}; "
                    "what it said is above"
                )


def _named(servers: list[Program]) -> str:
    return f"{' and '.join(servers)} {'is' if len(servers) == 1 else 'are'}"


def _found(find: Callable[[], object]) -> bool:
    try:
        find()
    except NotInstalled:
        return False
    return True


def _succeeds(*command: str) -> bool:
    if shutil.which(command[0]) is None:
        return False
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=15,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _ensure_browser() -> None:
    """Where apt has a Chromium without windows, that is wanted though there is another."""
    known = _succeeds("apt-cache", "show", WITHOUT_WINDOWS)
    finder = find_chromium_without_windows if known else find_chromium
    try:
        ensure_installed(_tell, [Program.CHROMIUM], finders={Program.CHROMIUM: finder})
    except LocalStackError as error:
        what = "take longer" if _found(find_chromium) else "be skipped"
        sys.stderr.write(f"the tests in a browser will {what}: {error}\n")


def _tell(what: str) -> None:
    sys.stderr.write(f"{what}\n")


def main() -> int:
    """Exit status 0 where both servers are there now, 1 where they are not.

    With `--browser`, a browser is installed too if that is possible; the tests that need it are skipped otherwise.
    """
    if "--browser" in sys.argv[1:]:
        _ensure_browser()
    if all(os.environ.get(name) for name in _TESTED_ELSEWHERE):
        return 0
    try:
        ensure_installed(_tell)
    except LocalStackError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
