"""The folder in which a run of the tests keeps its servers, and those that killed runs have left."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

PREFIX: Final = "tidings-tests-"
LOCK: Final = "run"
"""A file that a run keeps locked for as long as it lives, however it ends."""


@contextmanager
def folder_of_a_run(parent: Path) -> Iterator[Path]:
    """A new folder, gone at the end; the folders of runs that were killed go first."""
    for folder in parent.glob(f"{PREFIX}*"):
        _remove_if_left(folder)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    lock = os.open(folder / f"{LOCK}.new", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (folder / f"{LOCK}.new").rename(folder / LOCK)  # nobody sees it before it is locked
        yield folder
    finally:
        shutil.rmtree(folder)
        os.close(lock)


def _remove_if_left(folder: Path) -> None:
    """Remove a folder whose run has ended; one without the file has only just begun."""
    try:
        lock = os.open(folder / LOCK, os.O_RDWR)
    except OSError:
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    else:
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)
