"""What is installed, by whom, and what a person is told where nothing can be."""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from tidings_local.chromium import find_chromium
from tidings_local.errors import LocalStackError, NotInstalled
from tidings_local.package_managers import APT, BREW, DNF, STACK, Manager, Program
from tidings_local.packages import Machine, advice, ensure_installed, main, needed_servers
from tidings_local.quiet_installation import installing_without_starting
from tidings_local.rabbitmq_programs import find_rabbitmq, version_key

BOTH = list(STACK)


def machine(
    manager: Manager | None = APT, *, root: bool = False, sudo: bool = False, docker: bool = False
) -> Machine:
    return Machine(manager, root=root, sudo=sudo, docker=docker)


@pytest.mark.parametrize(
    ("here", "may"),
    [
        (machine(APT, root=True), True),
        (machine(APT, sudo=True), True),
        (machine(APT), False),
        (machine(DNF, root=True), True),
        (machine(BREW), True),
        (machine(BREW, root=True), False),
        (machine(None, root=True), False),
    ],
)
def test_packages_are_installed_only_where_nobody_has_to_be_asked(here: Machine, may: bool) -> None:
    assert here.may_install is may


def test_somebody_without_rights_is_told_what_to_type() -> None:
    text = advice(BOTH, machine(APT))
    assert text.splitlines() == [
        "RabbitMQ and PostgreSQL are not installed; install with:",
        "    sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq update",
        "    sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=300 "
        "--no-install-recommends install rabbitmq-server postgresql",
    ]


def test_only_what_is_missing_is_named() -> None:
    text = advice([Program.POSTGRESQL], machine(BREW, root=True))
    assert text.splitlines() == [
        "PostgreSQL is not installed; install with:",
        "    brew install --quiet postgresql@17",
    ]


def test_a_browser_is_known_to_every_package_manager_and_asked_for_by_tests_alone() -> None:
    assert all("chromium" in manager.names[Program.CHROMIUM] for manager in (APT, BREW, DNF))
    assert Program.CHROMIUM not in needed_servers({})


class Bin:
    """A directory of programs, the only one on the PATH."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def has(self, *names: str, does: str = "exit 0") -> None:
        for name in names:
            (self.directory / name).write_text(f"#!/bin/sh\n{does}\n")
            (self.directory / name).chmod(0o755)


@pytest.fixture
def bin_(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bin:
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr("sys.argv", ["packages", "--browser"])
    for name in ("AMQP", "MANAGEMENT", "DATABASE"):
        monkeypatch.setenv(f"TIDINGS_TEST_{name}_URL", "somewhere")
    return Bin(tmp_path / "bin")


def test_of_two_browsers_the_one_without_windows_is_found(bin_: Bin) -> None:
    bin_.has("chromium")
    assert find_chromium() == bin_.directory / "chromium"
    bin_.has("chromium-headless-shell")
    assert find_chromium() == bin_.directory / "chromium-headless-shell"


def test_the_browser_without_windows_is_installed_beside_another(bin_: Bin) -> None:
    shell = bin_.directory / "chromium-headless-shell"
    bin_.has("chromium", "apt-cache", "apt-get", "true")
    bin_.has("sudo", does='shift; exec "$@"')
    bin_.has("env", does=f'case "$*" in *install*headless*) /bin/cp /bin/true {shell}; esac')
    assert main() == 0
    assert find_chromium() == shell


def test_who_can_not_have_it_is_told_that_another_takes_longer(
    bin_: Bin, capsys: pytest.CaptureFixture[str]
) -> None:
    bin_.has("chromium", "apt-cache")
    assert main() == 0
    assert "the tests in a browser will take longer: Chromium is not" in capsys.readouterr().err


def test_where_apt_does_not_know_it_any_browser_will_do(
    bin_: Bin, capsys: pytest.CaptureFixture[str]
) -> None:
    bin_.has("chromium")
    assert main() == 0
    assert capsys.readouterr().err == ""
    (bin_.directory / "chromium").unlink()
    assert main() == 0
    assert "the tests in a browser will be skipped: Chromium is not" in capsys.readouterr().err


def test_docker_is_offered_where_it_answers_and_only_there() -> None:
    offered = advice(BOTH, machine(None, docker=True))
    assert "docker run" in offered
    assert "TIDINGS_AMQP_URL=" in offered
    assert "TIDINGS_DATABASE_URL=" in offered
    assert "docker" not in advice(BOTH, machine(None))


@pytest.mark.parametrize(
    ("environment", "needed"),
    [
        ({}, BOTH),
        ({"TIDINGS_AMQP_URL": "amqp://x"}, [Program.POSTGRESQL]),
        ({"TIDINGS_DATABASE_URL": "postgresql://x", "TIDINGS_AMQP_URL": ""}, [Program.RABBITMQ]),
        ({"TIDINGS_DATABASE_URL": "postgresql://x", "TIDINGS_AMQP_URL": "amqp://x"}, []),
    ],
)
def test_a_server_that_somebody_brings_need_not_be_installed(
    environment: dict[str, str], needed: list[Program]
) -> None:
    assert needed_servers(environment) == needed


class Shop:
    """A package manager of the test's own: a script that puts a RabbitMQ into a directory."""

    def __init__(self, directory: Path) -> None:
        self.home = directory / "rabbitmq"
        self.script = directory / "install"

    def sells(self, what: str) -> None:
        self.script.write_text(f"#!/bin/sh\nset -e\ncd {self.script.parent}\n{what}\n")
        self.script.chmod(0o755)

    def manager(self) -> Manager:
        return Manager(
            program="shop",
            names={Program.RABBITMQ: "rabbits"},
            install=(str(self.script),),
            as_root=False,
        )

    def look(self) -> object:
        """Finds what the script makes."""
        if not self.home.exists():
            raise NotInstalled("RabbitMQ", str(self.home))
        return self.home


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


@pytest.fixture
def ensure(shop: Shop) -> Callable[[], list[str]]:
    """Sees to it that RabbitMQ is there, and returns what was said."""

    def ensure() -> list[str]:
        lines: list[str] = []
        ensure_installed(
            lines.append,
            [Program.RABBITMQ],
            finders={Program.RABBITMQ: shop.look},
            machine=machine(shop.manager()),
        )
        return lines

    return ensure


def test_what_is_missing_is_installed_once(shop: Shop, ensure: Callable[[], list[str]]) -> None:
    shop.sells('echo "$@" > asked; mkdir rabbitmq')
    assert ensure() == ["RabbitMQ is missing: installing with shop, starting no service"]
    assert (shop.home.parent / "asked").read_text() == "rabbits\n"
    assert ensure() == []


def test_an_installation_that_fails_is_named(shop: Shop, ensure: Callable[[], list[str]]) -> None:
    shop.sells("exit 100")
    with pytest.raises(LocalStackError, match="install rabbits` failed with status 100"):
        ensure()


def test_an_installation_that_brings_nothing_is_named(
    shop: Shop, ensure: Callable[[], list[str]]
) -> None:
    shop.sells("exit 0")
    with pytest.raises(LocalStackError, match="shop succeeded, but RabbitMQ is still not found"):
        ensure()


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `systemctl` that writes down what it is asked."""
    program = tmp_path / "bin" / "systemctl"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    return tmp_path / "asked"


def test_services_are_forbidden_to_start_only_meanwhile(tmp_path: Path, systemctl: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    with installing_without_starting([], ["tidings-test.service"], policy):
        assert policy.read_text().endswith("exit 101\n")
        assert policy.stat().st_mode & 0o111
    assert not policy.exists()
    assert systemctl.read_text() == "--quiet disable tidings-test.service\n"


def test_services_may_start_again_after_a_failure(tmp_path: Path, systemctl: Path) -> None:
    policy = tmp_path / "policy-rc.d"

    def install() -> None:
        with installing_without_starting([], ["x.service"], policy):
            assert policy.exists()
            raise LocalStackError("the installation failed")

    with pytest.raises(LocalStackError, match="the installation failed"):
        install()
    assert not policy.exists()
    assert not systemctl.exists()


def test_a_policy_that_is_there_is_left_alone(tmp_path: Path, systemctl: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    policy.write_text("theirs")
    with installing_without_starting([], ["x.service"], policy):
        assert policy.read_text() == "theirs"
    assert policy.read_text() == "theirs"


def test_where_packages_bring_no_service_nothing_is_touched(tmp_path: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    with installing_without_starting([], [], policy):
        assert not policy.exists()


def make_rabbitmq(home: Path, version: str) -> None:
    (home / "sbin").mkdir(parents=True)
    (home / "plugins" / f"rabbit-{version}").mkdir(parents=True)
    (home / "sbin" / "rabbitmq-env").touch()
    (home / "sbin" / "rabbitmq-server").touch(mode=0o755)


def test_an_installation_is_found_by_its_directory_or_its_sbin(tmp_path: Path) -> None:
    make_rabbitmq(tmp_path, "4.0.5")
    for home in (tmp_path, tmp_path / "sbin"):
        programs = find_rabbitmq(home)
        assert (programs.sbin, programs.version) == (tmp_path / "sbin", "4.0.5")


def test_versions_are_compared_as_numbers() -> None:
    versions = ["3.9.1", "3.10.8", "3.13.0-rc.2", "4.0.5", "10.0"]
    for older, newer in itertools.pairwise(versions):
        assert version_key(older) < version_key(newer)
