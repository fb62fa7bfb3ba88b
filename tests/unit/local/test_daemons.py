"""Processes that end with us, directories that belong to one server, ports nobody takes."""

import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import PIPE

import pytest
from tests.support.local_servers import is_gone

import tidings
import tidings_local
from tidings_local.daemon import Command, Daemon, minimal_environment
from tidings_local.data_directory import DataDirectory
from tidings_local.errors import AlreadyRunning, LocalStackError, StartFailed
from tidings_local.ports import LOOPBACK, answers, free_port, is_free
from tidings_local.waiting import wait_until

Start = Callable[..., Daemon]


def shell(directory: Path, script: str, **options: object) -> Command:
    return Command(
        name="The server",
        argv=["/bin/sh", "-c", script],
        log=directory / "log",
        env=minimal_environment(),
        cwd=directory,
        **options,  # type: ignore[arg-type]  # the test's own names
    )


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a shell script as a daemon."""
    daemons: list[Daemon] = []

    def start(script: str, **options: object) -> Daemon:
        daemons.append(Daemon(shell(tmp_path, script, **options)))
        return daemons[-1]

    yield start
    for daemon in daemons:
        daemon.kill()


def test_a_daemon_is_asked_to_end_by_its_own_signal(start: Start, tmp_path: Path) -> None:
    script = (
        f"trap 'echo bye > {tmp_path}/bye; exit' USR2; echo ready; while :; do sleep 0.05; done"
    )
    daemon = start(script, stop_signal=signal.SIGUSR2)
    daemon.wait_until_ready(lambda: "ready" in daemon.last_words(), 5)
    daemon.stop(grace=5)
    assert (tmp_path / "bye").exists()
    assert is_gone(daemon.pid)


def test_a_daemon_that_will_not_end_is_killed(start: Start) -> None:
    daemon = start("trap '' TERM; echo ready; while :; do sleep 0.05; done")
    daemon.wait_until_ready(lambda: "ready" in daemon.last_words(), 5)
    daemon.stop(grace=0.2)
    assert is_gone(daemon.pid)


def test_a_failure_quotes_only_what_this_run_wrote(start: Start, tmp_path: Path) -> None:
    (tmp_path / "log").write_text("from yesterday\n")
    daemon = start("seq 1 100; exit 3")
    with pytest.raises(StartFailed, match="The server ended with status 3") as failure:
        daemon.wait_until_ready(lambda: False, 5)
    assert str(failure.value).splitlines()[-1] == "    100"
    assert "    76" in str(failure.value)
    assert "    75" not in str(failure.value)
    silent = start("exit 3")
    with pytest.raises(StartFailed, match=r"\(it wrote nothing\)"):
        silent.wait_until_ready(lambda: False, 5)


def test_a_daemon_sees_only_the_environment_it_is_given(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RABBITMQ_NODENAME", "somebody@else")
    daemon = start(f"env > {tmp_path}/env")
    assert wait_until(lambda: not daemon.running(), 5)
    assert "RABBITMQ_NODENAME" not in (tmp_path / "env").read_text()


def test_a_daemon_ends_with_a_process_that_is_killed(tmp_path: Path) -> None:
    program = f"""
import sys, time
from pathlib import Path
from subprocess import PIPE
sys.path[:0] = {[str(Path(package.__file__).parent.parent) for package in (tidings, tidings_local)]!r}
from tidings_local.daemon import *
it = Daemon(Command("it", ["/bin/sleep", "60"], Path("log"), minimal_environment(), Path()))
print(it.pid, flush=True)
time.sleep(60)
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as starter:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        assert not is_gone(pid)
        starter.kill()
    assert wait_until(lambda: is_gone(pid), 10)


def test_a_directory_has_one_owner_at_a_time(tmp_path: Path) -> None:
    first, second = DataDirectory(tmp_path / "data"), DataDirectory(tmp_path / "data")
    first.acquire()
    first.acquire()
    with pytest.raises(AlreadyRunning, match=str(tmp_path)):
        second.acquire(patience=0.05)
    first.release()
    second.acquire()
    second.release()


def test_a_server_holds_its_directory_as_long_as_it_lives(start: Start, tmp_path: Path) -> None:
    ours, theirs = DataDirectory(tmp_path / "data"), DataDirectory(tmp_path / "data")
    ours.acquire()
    server = start("exec sleep 60", keep_open=(ours.lock,))
    ours.release()
    with pytest.raises(AlreadyRunning):
        theirs.acquire(patience=0.05)
    server.kill()
    theirs.acquire()
    theirs.release()


def test_notes_are_kept_for_their_owner_alone(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path)
    assert directory.recall() == {}
    directory.remember({"port": "1"})
    directory.remember({"port": "2"})
    assert DataDirectory(tmp_path).recall() == {"port": "2"}
    [notes] = [path for path in tmp_path.iterdir() if path.suffix == ".json"]
    assert stat.S_IMODE(notes.stat().st_mode) == 0o600


def test_there_is_no_lock_before_it_is_taken(tmp_path: Path) -> None:
    with pytest.raises(LocalStackError, match="is not locked"):
        _ = DataDirectory(tmp_path).lock


def test_a_port_that_is_taken_is_not_given_out() -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        taken = server.getsockname()[1]
        assert (is_free(taken), answers(taken)) == (False, True)
        other = free_port(taken)
        assert other != taken
    assert free_port(other) == other
    assert free_port(other, avoid=[other]) != other


def test_no_other_process_is_given_a_port_before_its_server_listens() -> None:
    words = "from tidings_local.ports import free_port; print(free_port(), flush=True); input()"
    command = [sys.executable, "-c", words]
    with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, text=True) as other:
        assert other.stdout is not None
        its = int(other.stdout.readline())
        assert is_free(its)
        assert free_port(its) != its
        other.communicate("\n")
    assert free_port(its) == its


def test_ports_lie_outside_what_outgoing_connections_use() -> None:
    reserved = Path("/proc/sys/net/ipv4/ip_local_port_range")
    lowest = int(reserved.read_text().split()[0]) if reserved.exists() else 32_768
    assert all(20_000 <= free_port() < lowest for _ in range(20))
