"""`python -m tidings_local.stack`, as a person or a script runs it."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.local_servers import processes_about, silent

import tidings
import tidings_local
from tidings_local.waiting import wait_until

SOURCES = [Path(package.__file__).parent.parent for package in (tidings, tidings_local)]
NOBODY = 65534


@contextmanager
def stack(
    data: Path, *, python: str = sys.executable, user: int | None = None
) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        [python, "-m", "tidings_local.stack", "--data", str(data)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd="/",
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(map(str, SOURCES)),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        user=user,
        group=user,
        extra_groups=None if user is None else [],
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def announced(process: "subprocess.Popen[str]") -> dict[str, str]:
    """The variables it prints, which it does when both servers are ready."""
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(3)]
    if not all(lines):
        pytest.fail(process.stderr.read() if process.stderr else "it ended")
    return dict(re.findall(r"export (\w+)='(.*)'", "".join(lines)))


def ports(variables: dict[str, str]) -> list[int]:
    return [
        int(found[1]) for url in variables.values() if (found := re.search(r":(\d+)(/|$)", url))
    ]


def test_it_prints_where_it_is_keeps_others_off_its_data_and_ends_in_good_order(
    server_directory: Path,
) -> None:
    data = server_directory / "stack"
    with stack(data) as process:
        variables = announced(process)
        assert list(variables) == [
            "TIDINGS_TEST_AMQP_URL",
            "TIDINGS_TEST_MANAGEMENT_URL",
            "TIDINGS_TEST_DATABASE_URL",
        ]
        assert not silent(*ports(variables))
        with stack(data) as second:
            _, output = second.communicate(timeout=40)
            assert second.returncode == 1
            assert output.startswith("error: a server that was started earlier still uses")
            assert "Traceback" not in output
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    assert silent(*ports(variables))
    assert processes_about(data) == []


def test_nothing_outlives_it_when_it_is_killed(server_directory: Path) -> None:
    data = server_directory / "killed"
    with stack(data) as process:
        variables = announced(process)
        process.kill()
        process.wait()
    assert wait_until(lambda: silent(*ports(variables)) and not processes_about(data), 20)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_somebody_who_is_not_root_can_run_it(server_directory: Path) -> None:
    python = python_for_anyone()
    if python is None or not can(NOBODY, "test", "-r", str(SOURCES[0] / "tidings" / "__init__.py")):
        pytest.skip("no Python, or no checkout, that the user nobody may use")
    data = server_directory / "nobodys"
    data.mkdir()
    os.chown(data, NOBODY, NOBODY)
    with stack(data, python=python, user=NOBODY) as process:
        variables = announced(process)
        assert len(ports(variables)) == 3
        assert (data / "postgresql" / "data").stat().st_uid == NOBODY
        process.terminate()
        assert process.wait(timeout=30) == 0
    shutil.rmtree(data)


def python_for_anyone() -> str | None:
    """A Python, new enough, that the user nobody can run."""
    enough = "import sys; sys.exit(sys.version_info < (3, 11))"
    for python in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        if Path(python).exists() and can(NOBODY, python, "-c", enough):
            return python
    return None


def can(user: int, *command: str) -> bool:
    try:
        done = subprocess.run(
            command,
            user=user,
            group=user,
            extra_groups=[],
            capture_output=True,
            cwd="/",
            check=False,
        )
    except PermissionError:
        return False
    return done.returncode == 0
