"""Runs one server process that ends with the process that started it, however that one ends."""

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tidings_local.errors import StartFailed
from tidings_local.waiting import wait_until

# A shell that waits on a pipe from us: a word on it means all is well, an end of file means that we
# died without a chance to stop the server.
_GUARD = 'read -r word || kill -s "$0" "$1"'


@dataclass(frozen=True, slots=True)
class Account:
    """The system user a server runs as."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Command:
    """How a server is started.

    Args:
        name: What people call it, in messages.
        argv: The program, by its full path, and its arguments.
        log: The file its output is appended to.
        env: Its whole environment: nothing is inherited.
        cwd: The directory it runs in.
        account: Whom it runs as; ourselves where None.
        keep_open: File descriptors of ours it keeps (a lock held as long as the server lives).
        stop_signal: What asks it to end in good order.
    """

    name: str
    argv: Sequence[str]
    log: Path
    env: Mapping[str, str]
    cwd: Path
    account: Account | None = None
    keep_open: tuple[int, ...] = ()
    stop_signal: signal.Signals = field(default=signal.SIGTERM)


class Guard:
    """Asks a process to end where this one dies without a chance to do so.

    Args:
        pid: The process.
        stop_signal: What asks it to end in good order.
    """

    def __init__(self, pid: int, stop_signal: signal.Signals = signal.SIGTERM) -> None:
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", _GUARD, stop_signal.name.removeprefix("SIG"), str(pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def dismiss(self) -> None:
        """The process has ended."""
        if self._shell.poll() is None:
            self._shell.communicate(b"done\n")


class Daemon:
    """A running server process."""

    def __init__(self, command: Command) -> None:
        """Starts it, in a session of its own: Ctrl-C in our terminal is ours to handle."""
        self._command = command
        with command.log.open("ab") as log:
            self._started_at = log.tell()
            self._process = self._spawn(log.fileno())
        self._guard = Guard(self.pid, command.stop_signal)

    @property
    def pid(self) -> int:
        return self._process.pid

    def running(self) -> bool:
        """Whether the process is alive."""
        return self._process.poll() is None

    def wait_until_ready(self, ready: Callable[[], bool], seconds: float) -> None:
        """Waits until the server is ready.

        Raises:
            StartFailed: It ended first, or was not ready in time.
        """
        wait_until(lambda: not self.running() or ready(), seconds)
        if not self.running():
            raise StartFailed(self._failure(f"ended with status {self._process.returncode}"))
        if not ready():
            raise StartFailed(self._failure(f"was not ready within {seconds:g}s"))

    def stop(self, grace: float) -> None:
        """Asks the server to end, and makes it end after so many seconds."""
        if self.running():
            self._process.send_signal(self._command.stop_signal)
        if not wait_until(lambda: not self.running(), grace):
            self._process.kill()
        self._reap()

    def kill(self) -> None:
        """Ends the server at once with SIGKILL, as a crash would."""
        if self.running():
            self._process.kill()
        self._reap()

    def suspend(self) -> None:
        """Freezes the process where it is; only `kill` ends it then."""
        if self.running():
            self._process.send_signal(signal.SIGSTOP)

    def last_words(self, lines: int = 25) -> str:
        """The end of what this process wrote to its log."""
        with self._command.log.open("rb") as log:
            log.seek(self._started_at)
            text = log.read().decode("utf-8", "replace")
        return "\n".join(text.splitlines()[-lines:])

    def _spawn(self, log: int) -> "subprocess.Popen[bytes]":
        account = self._command.account
        return subprocess.Popen(
            list(self._command.argv),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=dict(self._command.env),
            cwd=self._command.cwd,
            start_new_session=True,
            pass_fds=self._command.keep_open,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )

    def _reap(self) -> None:
        self._process.wait()
        self._guard.dismiss()

    def _failure(self, what: str) -> str:
        words = self.last_words() or "(it wrote nothing)"
        indented = "\n".join(f"    {line}" for line in words.splitlines())
        return f"{self._command.name} {what}. The end of {self._command.log}:\n{indented}"


def minimal_environment(**extra: str) -> dict[str, str]:
    """An environment for a server: where programs are, and nothing that could steer it by accident."""
    inherited = {key: os.environ[key] for key in ("PATH", "TMPDIR", "TZ") if key in os.environ}
    return {"PATH": os.defpath, "LANG": "C.UTF-8", **inherited, **extra}
