"""The folders of runs of the tests that were killed are removed, and those of others are not."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.support.leftovers import folder_of_a_run

RUN = """
import sys
from pathlib import Path
from tests.support.leftovers import folder_of_a_run
with folder_of_a_run(Path(sys.argv[1])) as folder:
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_a_run_removes_the_folder_of_one_that_was_killed_and_no_other(tmp_path: Path) -> None:
    unlocked = tmp_path / "tidings-tests-which-begins"
    unlocked.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", RUN, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:  # fmt: skip
        assert other.stdout is not None
        its = Path(other.stdout.readline().strip())
        (its / "data").write_text("x")
        with folder_of_a_run(tmp_path) as ours:
            assert sorted(tmp_path.iterdir()) == sorted([unlocked, its, ours])
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
        assert its.exists()
        with folder_of_a_run(tmp_path) as ours:
            assert sorted(tmp_path.iterdir()) == sorted([unlocked, ours])
    assert list(tmp_path.iterdir()) == [unlocked]
