"""Keeps what a private server needs to be itself again after a restart: its ports and secrets."""

import fcntl
import json
import os
from pathlib import Path

from tidings_local.errors import AlreadyRunning, LocalStackError
from tidings_local.waiting import wait_until


class DataDirectory:
    """A directory that belongs to one server, used by one process at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._lock: int | None = None

    @property
    def lock(self) -> int:
        """The descriptor of the lock; a server that inherits it holds the lock while it lives."""
        if self._lock is None:
            raise LocalStackError(f"{self.path} is not locked: acquire() it first")
        return self._lock

    def acquire(self, patience: float = 10) -> None:
        """Creates the directory and takes it for ourselves.

        Args:
            patience: Seconds to wait for an earlier owner, whose server may still be stopping.

        Raises:
            AlreadyRunning: Another process still holds it.
        """
        if self._lock is not None:
            return
        self.path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        if not wait_until(lambda: _flock(descriptor), patience):
            os.close(descriptor)
            raise AlreadyRunning(
                f"a server that was started earlier still uses {self.path}: stop what started it "
                "(`make run` in another terminal?), or choose another directory"
            )
        self._lock = descriptor

    def release(self) -> None:
        """Lets go; does nothing where it was not acquired."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def recall(self) -> dict[str, str]:
        """What was remembered; empty the first time."""
        try:
            return {
                str(key): str(value) for key, value in json.loads(self._notes.read_text()).items()
            }
        except FileNotFoundError:
            return {}
        except (ValueError, AttributeError) as error:
            raise LocalStackError(
                f"{self._notes} is damaged ({error}): delete {self.path} to start afresh"
            ) from error

    def remember(self, notes: dict[str, str]) -> None:
        """Writes down ports and secrets, readable by ourselves only."""
        write_private(self._notes, json.dumps(notes, indent=2) + "\n")

    @property
    def _notes(self) -> Path:
        return self.path / "identity.json"


def write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner can read, whole or not at all."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    draft.replace(path)


def _flock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
