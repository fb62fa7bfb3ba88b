"""Stands in for a mail server: takes what it is given, keeps it, and misbehaves when asked to.

The part of an address before `+` or `@` may say what to do: `fail-once+anna@example.com`,
`reject@example.com`, `greylist-2@…`, `throttle@…`, `hang@…`, `drop@…`.
"""

import asyncio
import hmac
import ssl
from datetime import UTC, datetime
from typing import Any, Final, Self

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tidings_local.errors import LocalStackError
from tidings_local.ports import LOOPBACK
from tidings_local.sinks.box import Box
from tidings_local.sinks.received_mail import ReceivedMail
from tidings_local.sinks.script import Behaviour, Scripts

_TAKEN: Final = "250 2.0.0 Kept, not sent"
_AT_RCPT: Final = {
    Behaviour.ACCEPT: "250 2.1.5 Fine",
    Behaviour.FAIL: "451 4.3.0 The mailbox can't be written to now",
    Behaviour.GREYLIST: "451 4.7.1 Greylisted, come again",
    Behaviour.REJECT: "550 5.1.1 No such mailbox",
    # These two take the recipient and show themselves at the end of the data.
    Behaviour.HANG: "250 2.1.5 Fine",
    Behaviour.DROP: "250 2.1.5 Fine",
}
_THROTTLED: Final = "421 4.7.0 Too many messages, come again later"


class _Envelope(Envelope):
    """One mail under way."""

    at_the_end: Behaviour = Behaviour.ACCEPT
    """What happens once its data is there."""


class MailSink:
    """A mail server on loopback. Use it with `async with`."""

    def __init__(
        self,
        *,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        implicit_tls: bool = False,
        require_starttls: bool = False,
        username: str | None = None,
        password: str = "",
        size_limit: int = 40_000_000,
    ) -> None:
        """Listens to nothing yet.

        Args:
            port: Where to listen; 0 for any.
            tls: The server's certificate; it then offers STARTTLS.
            implicit_tls: TLS from the first byte instead of STARTTLS.
            require_starttls: Takes no mail before STARTTLS.
            username: Takes no mail before this login.
            password: Its password.
            size_limit: The largest mail in bytes.
        """
        self.mails: Box[ReceivedMail] = Box()
        self.scripts = Scripts()
        self.port = port
        self.connections = 0
        """How many connections were ever opened."""
        self._tls, self._implicit_tls = tls, implicit_tls
        self._require_starttls = require_starttls
        self._username, self._password = username, password
        self._size_limit = size_limit
        self._open: set[_Connection] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        context = self._tls if self._implicit_tls else None
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                self._connection, LOOPBACK, self.port, ssl=context
            )
        except OSError as error:
            raise LocalStackError(f"port {self.port} is taken: choose another ({error})") from error
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server:
            self._server.close()
        self.hang_up()
        await asyncio.gather(*(connection.ended.wait() for connection in self._open))

    def hang_up(self) -> None:
        """Cuts every connection, as a server that crashes would."""
        for connection in self._open:
            connection.cut()

    def _connection(self) -> "_Connection":
        connection = _Connection(
            self,
            self._open,
            hostname="localhost",
            ident="ESMTP mail sink",
            enable_SMTPUTF8=True,
            data_size_limit=self._size_limit,
            tls_context=None if self._implicit_tls else self._tls,
            require_starttls=self._require_starttls,
            auth_require_tls=False,
            authenticator=self._authenticate,
        )
        self.connections += 1
        return connection

    def _authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        if self._username is None or not isinstance(data, LoginPassword):
            return AuthResult(success=False, handled=False)
        given = (data.login.decode(), data.password.decode())
        fits = hmac.compare_digest(repr(given), repr((self._username, self._password)))
        return AuthResult(success=fits, handled=False, auth_data=data if fits else None)

    # What follows are the hooks of aiosmtpd, which finds them by name.

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self._username is not None and not session.authenticated:
            return "530 5.7.0 Log in first"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 Fine"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self,
        server: SMTP,
        session: Session,
        envelope: _Envelope,
        address: str,
        options: list[str],
    ) -> str:
        word = address.partition("@")[0].partition("+")[0]
        behaviour = self.scripts.next(address, word)
        if behaviour is Behaviour.THROTTLE:
            await server.push(_THROTTLED)
            return await _cut_off(server)
        if behaviour in {Behaviour.HANG, Behaviour.DROP}:
            envelope.at_the_end = behaviour
        reply = _AT_RCPT[behaviour]
        if reply.startswith("250"):
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: _Envelope
    ) -> str:
        self._keep(session, envelope)
        match envelope.at_the_end:
            case Behaviour.DROP:
                return await _cut_off(server)
            case Behaviour.HANG:
                return await _for_ever()
            case _:
                return _TAKEN

    def _keep(self, session: Session, envelope: Envelope) -> None:
        login: Any = session.auth_data
        self.mails.add(
            ReceivedMail(
                at=datetime.now(UTC),
                sender=envelope.mail_from or "",
                recipients=tuple(envelope.rcpt_tos),
                raw=bytes(envelope.original_content or b""),
                tls=self._implicit_tls or session.ssl is not None,
                user=login.login.decode() if isinstance(login, LoginPassword) else None,
            )
        )


class _Connection(SMTP):
    """One client's connection, which can be cut and waited for."""

    def __init__(self, sink: MailSink, others: "set[_Connection]", **options: Any) -> None:
        super().__init__(sink, loop=asyncio.get_running_loop(), **options)
        self.ended = asyncio.Event()
        self._others = others

    def _create_envelope(self) -> Envelope:
        return _Envelope()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._others.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._others.discard(self)
        self.ended.set()

    def cut(self) -> None:
        """Ends the connection without a word."""
        if isinstance(self.transport, asyncio.WriteTransport):
            self.transport.abort()


async def _cut_off(server: SMTP) -> str:
    """Hangs up; the task that serves the connection is cancelled by that, so it only waits."""
    if server.transport:
        server.transport.close()
    return await _for_ever()


async def _for_ever() -> str:
    await asyncio.Event().wait()
    return ""
