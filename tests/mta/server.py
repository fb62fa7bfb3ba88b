"""What the suite wants of a mail server: to be started, stopped and killed, and to say what it has taken.

Every server does the same with the same recipients at example.com:

    good…       delivered
    deferred…   not now, as this server says it of one mailbox
    full…       not now, and the mailbox is full
    unknown…    refused: there is no such mailbox

and takes nothing for any other domain: it relays for nobody.
"""

import os
import re
import signal
import socket
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from textwrap import dedent
from typing import ClassVar, Final

from tests.mta.folder import Folder

from tidings_local.daemon import Command, Daemon, minimal_environment
from tidings_local.ports import free_port
from tidings_local.waiting import wait_until

_MESSAGE_ID: Final = re.compile(
    r"^Message-ID:\s*<([0-9a-f-]{36})\.\d+@", re.IGNORECASE | re.MULTILINE
)
_RECEIVED_AS: Final = re.compile(r"^Received:.*?\bid ([\w.-]+)", re.DOTALL | re.MULTILINE)
_FOR: Final = re.compile(r"^(?:Delivered|Envelope)-To: *(\S+)", re.IGNORECASE | re.MULTILINE)
_MAILS: Final = re.compile(rb"(?m)^From .*\n")
"""What comes before each mail where several are in one file."""
_PATIENCE: Final = 30.0
"""Seconds that a server has to start, or to stop."""


class Row(StrEnum):
    """What a server can be made to do; not every one can do everything."""

    DEFERRED = "deferred"
    """Puts off single recipients: greylisting, a full mailbox."""
    UNRELAYABLE = "unrelayable"
    """Refuses single recipients because it relays for nobody."""
    US_REFUSED = "us refused"
    """Refuses this machine, and says so at RCPT."""
    QUOTA = "quota"
    """Takes nothing more today, as a 5xx."""
    FEW_CONNECTIONS = "few connections"
    """Takes three connections at once."""
    FEW_MAILS = "few mails"
    """Takes a few mails over one connection."""


@dataclass(frozen=True, slots=True)
class Manners:
    """How a server behaves, beyond what it does with single recipients."""

    refuses_us: str = ""
    """Which of its ways to refuse us it uses; see `MailServer.refusals`."""
    quota_reached: bool = False
    connections: int = 0
    """Most of them at once; 0: enough for everybody."""
    mails: int = 0
    """Most over one connection; 0: enough for everybody."""


USUAL: Final = Manners()


class MailServer(ABC):
    """One server, on loopback, on a port of its own.

    Args:
        data: An empty directory, for its settings, its log, its queue and what it delivers.
    """

    name: ClassVar[str]
    rows: ClassVar[frozenset[Row]] = frozenset()
    """What it can be made to do."""
    refusals: ClassVar[tuple[str, ...]] = ()
    """Its ways of refusing us at RCPT."""
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    """What ends the process that is started."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.port = free_port()
        self._running: Daemon | None = None

    @abstractmethod
    def install(self) -> None:
        """Bring its programs, unless they are there.

        Raises:
            LocalStackError: They can't be had here; says why.
        """

    def start(self, manners: Manners = USUAL) -> None:
        """Start it, and return when it answers; what it has taken before is still there."""
        self._configure(manners)
        env = minimal_environment(**self._environment())
        self._running = Daemon(
            Command(
                self.name,
                self._command(),
                self.data / "output",
                env,
                self.data,
                stop_signal=self.stop_signal,
            )
        )
        self._running.wait_until_ready(self._answers, _PATIENCE)

    def stop(self) -> None:
        """Let it end in good order."""
        if self._running is not None:
            self._running.stop(_PATIENCE)
        self._running = None

    def kill(self) -> None:
        """SIGKILL it, with all its processes."""
        if self._running is not None:
            self._running.kill()
        self._running = None

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """All its processes stop where they are, and go on afterwards."""
        assert self._running is not None
        everyone = _descendants(self._running.pid)
        for pid in everyone:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in everyone:
                os.kill(pid, signal.SIGCONT)

    def delivered(self) -> Counter[str]:
        """Notification ids by how often the server was given them, as far as it has delivered them.

        What it was given once and has delivered twice, as it may after it was killed, counts once.
        """
        mails = {mail for file in self._files() for mail in _mails(file)}
        return Counter(id for id, _ in mails)

    def mail(self, id: str) -> bytes:
        """A mail that it has delivered, as it came."""
        mails = (mail for file in self._files() for mail in _MAILS.split(_read(file)))
        return next(mail for mail in mails if id.encode() in mail)

    def log(self) -> str:
        """All that it has logged so far."""
        files = (self.data / "output", *sorted(self.data.glob("*.log")))
        return "".join(_read(file).decode(errors="replace") for file in files)

    @abstractmethod
    def _configure(self, manners: Manners) -> None:
        """Write its settings."""

    @abstractmethod
    def _command(self) -> list[str]:
        """What starts it, in the foreground."""

    def _environment(self) -> Mapping[str, str]:
        """What it is told by variables."""
        return {}

    def _mailbox(self) -> Path:
        return self.data / "mail"

    def _files(self) -> list[Path]:
        return [it for it in self._mailbox().rglob("*") if it.is_file() and it.parent.name != "tmp"]

    def _answers(self) -> bool:
        with (
            suppress(OSError),
            socket.create_connection(("127.0.0.1", self.port), timeout=5) as probe,
        ):
            probe.settimeout(5)
            greeting = probe.recv(100)
            probe.sendall(b"QUIT\r\n")
            while probe.recv(1000):
                pass
            return greeting.startswith(b"220")
        return False


class DebianServer(MailServer):
    """One from Debian's packages, in a folder and process namespace of its own."""

    folder: ClassVar[Folder]
    stop_signal = signal.SIGKILL  # `unshare` heeds no other, and takes the server with it

    def install(self) -> None:
        """Unpack it."""
        self.folder.make()

    def stop(self) -> None:
        """Let it end in good order."""
        if self._running is not None:
            for shell in _children(self._running.pid):
                for server in _children(shell):
                    with suppress(ProcessLookupError):  # some end by themselves
                        os.kill(server, signal.SIGTERM)
            wait_until(lambda: not self._runs(), _PATIENCE)
        super().stop()

    def kill(self) -> None:
        """SIGKILL all its processes, and return when the last is gone."""
        if self._running is not None:
            for shell in _children(self._running.pid):
                os.kill(shell, signal.SIGKILL)
            wait_until(lambda: not self._runs(), _PATIENCE)
        super().kill()

    def _runs(self) -> bool:
        return self._running is not None and self._running.running()

    def _command(self) -> list[str]:
        return self.folder.invocation(self.data, *self._program())

    @abstractmethod
    def _program(self) -> list[str]:
        """The same, as it is called in the folder."""

    def _write(self, name: str, text: str) -> None:
        """Write one of its settings files, which it sees under /data."""
        file = self.data / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(dedent(text))

    def _own(self, owner: str, *names: str) -> None:
        """Make directories that belong to one of its users."""
        for name in names:
            directory = self.data / name
            directory.mkdir(exist_ok=True)
            os.chown(directory, *[self.folder.uid(owner)] * 2)


def _mails(file: Path) -> Iterator[tuple[str, str]]:
    """The notification's id, and the server's own name for it and whom it is for, of each mail in a file."""
    for place, raw in enumerate(_MAILS.split(_read(file))):
        mail = raw.decode(errors="replace")
        if id := _MESSAGE_ID.search(mail):
            name, recipient = _RECEIVED_AS.search(mail), _FOR.search(mail)
            known = f"{name[1]} {recipient[1] if recipient else ''}" if name else f"{file} {place}"
            yield id[1], known


def _children(pid: int) -> list[int]:
    return [int(child) for child in _read(Path(f"/proc/{pid}/task/{pid}/children")).split()]


def _descendants(pid: int) -> list[int]:
    """A process, and all that it has started and they have."""
    return [pid, *(each for child in _children(pid) for each in _descendants(child))]


def _read(file: Path) -> bytes:
    """A file that may be moved away while it is looked at."""
    with suppress(FileNotFoundError):
        return file.read_bytes()
    return b""
