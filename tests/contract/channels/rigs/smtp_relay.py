"""An SMTP server on loopback that takes mail, and misbehaves at any step on demand."""

import asyncio
import base64
import socket
import ssl
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Self, TypeAlias

EXTENSIONS = ("PIPELINING", "SIZE 20000000", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES")

Action: TypeAlias = "str | Callable[[Session], Awaitable[None]]"
"""A reply, or something to do instead of one."""


@dataclass(frozen=True)
class Taken:
    """A mail that was handed over to its final dot."""

    sender: str
    recipients: tuple[str, ...]
    payload: bytes
    parameters: str


@dataclass(eq=False)
class Session:
    """One connection, as the server sees it."""

    relay: "Relay"
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    encrypted: bool
    logged_in: bool = False
    sender: str = ""
    parameters: str = ""
    recipients: list[str] = field(default_factory=list)
    errors: int = 0
    plan: dict[str, Action] = field(default_factory=dict)
    """What to do at the steps of the mail under way."""

    async def say(self, text: str) -> None:
        """A reply, of several lines perhaps."""
        *others, last = text.split("\n")
        lines = [f"{line[:3]}-{line[4:]}" for line in others] + [last]
        self.writer.write("".join(f"{line}\r\n" for line in lines).encode("latin-1", "replace"))
        await self.writer.drain()

    async def step(self, name: str, usual: str) -> bool:
        """Act as told, or give the usual reply; says whether it was the usual one."""
        queue = self.relay.todo[name]
        action = queue.popleft() if queue else self.plan.pop(name, usual)
        if isinstance(action, str):
            await self.say(action)
        else:
            await action(self)
        return action is usual


async def drop(session: Session) -> None:
    """Hangs up without a word."""
    session.writer.transport.abort()


async def fall_silent(session: Session) -> None:
    """Says nothing, and waits to be hung up on."""
    session.relay.silent += 1
    try:
        while await session.reader.read(65_536):
            pass
    finally:
        session.relay.silent -= 1
    session.writer.transport.abort()


async def stop_reading(session: Session) -> None:
    """Asks for the payload and reads none of it until `thawed`; then keeps what still comes."""
    transport = session.writer.transport
    transport.pause_reading()  # type: ignore[attr-defined]  # every real transport has it
    session.writer.write(b"354 go on\r\n")
    session.relay.silent += 1
    await session.relay.thawed.wait()
    session.relay.silent -= 1
    transport.resume_reading()  # type: ignore[attr-defined]
    session.relay.late.set_result(await session.reader.read())
    transport.abort()


async def never_end(session: Session) -> None:
    """Answers line after line, none of them the last."""
    while not session.writer.is_closing():
        session.writer.write(b"250-and another thing\r\n" * 200)
        await session.writer.drain()


def and_hang_up(text: str) -> Action:
    """One reply, and hangs up."""

    async def act(session: Session) -> None:
        await session.say(text)
        session.writer.close()

    return act


class Relay:
    """The server.

    Args:
        tls: Certificate to show; none where there is no encryption.
        implicit: Whether it encrypts from the first byte, instead of offering STARTTLS.
        login: Name and password that it wants before any mail.
        extensions: What it offers besides those two.
    """

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        implicit: bool = False,
        login: tuple[str, str] | None = None,
        extensions: Sequence[str] = EXTENSIONS,
    ) -> None:
        self.tls = tls
        self.login = login
        self.mails: list[Taken] = []
        self.commands: list[str] = []
        self.opened = 0
        self.silent = 0
        self.thawed = asyncio.Event()
        self.late: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.todo: dict[str, deque[Action]] = defaultdict(deque)
        self.on_mail: Callable[[Session], None] = lambda _: None
        self.mailboxes: dict[str, str] = {}
        """Replies to RCPT by address; it takes mail for everybody else."""
        self.most_recipients = 1_000
        """Of one mail."""
        self.most_errors = 1_000
        """Addresses that a connection may name in vain, mails taken or not."""
        self.room: int | None = None
        """Connections it takes at once; any number where None."""
        self.full: Action = and_hang_up("421 4.7.0 Error: too many connections from 127.0.0.1")
        """What it does with one more."""
        self._implicit = implicit
        self._extensions = extensions
        self._sessions: dict[Session, asyncio.Task[None] | None] = {}

    def once(self, step: str, *actions: Action) -> None:
        """What to do the next times this step is reached: `CONNECT`, a verb, or `PAYLOAD`."""
        self.todo[step].extend(actions)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def connections(self) -> int:
        """Connections open right now."""
        return len(self._sessions)

    def hang_up(self) -> None:
        """Close every connection, as a server does that has waited long enough."""
        for session in self._sessions:
            session.writer.close()

    def offers(self, session: Session) -> str:
        """The reply to EHLO."""
        words = ["relay.example greets you", *self._extensions]
        if self.tls and not session.encrypted:
            words.append("STARTTLS")
        if self.login:
            words.append("AUTH PLAIN")
        return "\n".join(f"250 {word}" for word in words)

    async def __aenter__(self) -> Self:
        await self._listen(0)
        return self

    @asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        """Hangs up on everybody and refuses every connection meanwhile."""
        port = self.port
        self._server.close()
        self.hang_up()
        yield
        await self._listen(port)

    async def _listen(self, port: int) -> None:
        context = self.tls if self._implicit else None
        listener = socket.create_server(("127.0.0.1", port))
        # So that a mail of megabytes does not fit into what the system buffers.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        # Or several replies on the way at once would wait for the client's delayed acknowledgements.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._server = await asyncio.start_server(
            self._accept, sock=listener, ssl=context, limit=2**25
        )

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.thawed.set()
        # Clients have hung up by now; hanging up on a handshake would leave uvloop waiting for it.
        tasks = list(filter(None, self._sessions.values()))
        if tasks:
            await asyncio.wait(tasks, timeout=1)
        for session in self._sessions:
            session.writer.transport.abort()
        await asyncio.gather(*tasks)
        await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = Session(self, reader, writer, encrypted=self._implicit)
        self._sessions[session] = asyncio.current_task()
        self.opened += 1
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
                await _converse(session)
        finally:
            del self._sessions[session]
            writer.transport.abort()


async def _converse(session: Session) -> None:
    relay = session.relay
    if relay.room is not None and relay.connections > relay.room:
        relay.todo["CONNECT"].append(relay.full)
    await session.step("CONNECT", "220 relay.example ESMTP")
    # A client that has hung up reads no more, not even earlier replies.
    while not session.writer.is_closing() and (line := await session.reader.readline()):
        command = line.decode().strip()
        session.relay.commands.append(command)
        verb = command.partition(" ")[0].upper()
        await _ANSWERS.get(verb, _unknown)(session, command)


async def _hello(session: Session, command: str) -> None:
    await session.step(command[:4].upper(), session.relay.offers(session))


async def _hello_of_lmtp(session: Session, command: str) -> None:
    await session.step("LHLO", "502 5.5.2 Error: command not recognized")


async def _start_tls(session: Session, command: str) -> None:
    if not (session.relay.tls and await session.step("STARTTLS", "220 go ahead")):
        return
    plain = session.writer.transport
    try:
        await session.writer.start_tls(session.relay.tls)
    except AttributeError:  # asyncio's way of saying that the connection was lost meanwhile
        session.writer._transport = plain  # type: ignore[attr-defined]  # or it could not be closed
        raise ConnectionResetError from None
    session.encrypted = True


async def _log_in(session: Session, command: str) -> None:
    name, password = base64.b64decode(command.split()[2]).decode().split("\0")[1:]
    if (name, password) != session.relay.login:
        await session.say("535 5.7.8 Error: authentication failed")
    else:
        session.logged_in = await session.step("AUTH", "235 2.7.0 welcome")


async def _mail(session: Session, command: str) -> None:
    if session.relay.login and not session.logged_in:
        await session.say("530 5.7.0 Authentication required")
        return
    session.relay.on_mail(session)
    if await session.step("MAIL", "250 2.1.0 Ok"):
        sender, _, session.parameters = command[11:].partition("> ")
        session.sender = sender.rstrip(">")


async def _recipient(session: Session, command: str) -> None:
    if not session.sender:
        await session.say("503 5.5.1 Error: need MAIL command")
        return
    relay, address = session.relay, command[9:-1]
    usual = relay.mailboxes.get(address, "250 2.1.5 Ok")
    if len(session.recipients) >= relay.most_recipients:
        usual = "452 4.5.3 Error: too many recipients"
    session.errors += not usual.startswith("2")
    if session.errors > relay.most_errors:
        await session.say("421 4.7.0 Error: too many errors")
        session.writer.close()
    elif await session.step("RCPT", usual) and usual.startswith("2"):
        session.recipients.append(address)


async def _data(session: Session, command: str) -> None:
    go_on = "354 End data with <CR><LF>.<CR><LF>"
    usual = go_on if session.recipients else "554 5.5.1 Error: no valid recipients"
    if not await session.step("DATA", usual) or usual is not go_on:
        return
    stuffed = await session.reader.readuntil(b"\r\n.\r\n")
    mails = session.relay.mails
    payload = stuffed[:-3].replace(b"\r\n..", b"\r\n.")
    taken = Taken(session.sender, tuple(session.recipients), payload, session.parameters)
    refused = _refusals(session)
    if not refused:
        mails.append(taken)
    _forget(session)
    await session.step("PAYLOAD", f"250 2.0.0 Ok: queued as Q{len(mails):05}")


def _refusals(session: Session) -> bool:
    queue = session.relay.todo["PAYLOAD"]
    action = queue[0] if queue else session.plan.get("PAYLOAD", "250")
    return isinstance(action, str) and not action.startswith("2")


def _forget(session: Session) -> None:
    session.sender = ""
    session.recipients.clear()


async def _reset(session: Session, command: str) -> None:
    _forget(session)
    await session.step("RSET", "250 2.0.0 Ok")


async def _noop(session: Session, command: str) -> None:
    await session.step("NOOP", "250 2.0.0 Ok")


async def _quit(session: Session, command: str) -> None:
    await session.step("QUIT", "221 2.0.0 Bye")
    session.writer.close()


async def _unknown(session: Session, command: str) -> None:
    await session.say("502 5.5.2 Error: command not recognized")


_ANSWERS: dict[str, Callable[[Session, str], Awaitable[None]]] = {
    "EHLO": _hello,
    "HELO": _hello,
    "LHLO": _hello_of_lmtp,
    "STARTTLS": _start_tls,
    "AUTH": _log_in,
    "MAIL": _mail,
    "RCPT": _recipient,
    "DATA": _data,
    "RSET": _reset,
    "NOOP": _noop,
    "QUIT": _quit,
}
