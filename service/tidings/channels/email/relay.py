"""Opens connections to the relay: connects, greets, encrypts and logs in."""

import asyncio
import errno
import ipaddress
import re
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import Final, cast

from aiosmtplib import (
    SMTP,
    SMTPConnectResponseError,
    SMTPException,
    SMTPHeloError,
    SMTPServerDisconnected,
)
from aiosmtplib.protocol import SMTPProtocol

from tidings.channels.email.connection import (
    EXTENSIONS,
    QUIT_TIMEOUT,
    MailProgress,
    Pipelining,
    SmtpConnection,
)
from tidings.channels.email.connection_limits import CLOSING, reply_in
from tidings.channels.email.relaying import RelayingHistory, SessionRelaying
from tidings.channels.email.replies import Stage
from tidings.channels.email.settings import EmailSettings
from tidings.channels.network.lookups import Lookups, numeric
from tidings.delivery.errors import ConfigurationError
from tidings.runtime.certificates import verifying
from tidings.runtime.shortage import shortage

_HOST_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9-]+)+")
_GREETING = re.compile(r"[!-~]{1,255}")
_READY: Final = 220

GREETINGS: Final = 4
"""Connections that wait for their greeting at once. If more come than fit a server's backlog (OpenSMTPD: 5) and
the kernel answers with SYN cookies, a connection seems open to us and does not exist for the server. As the
client sends nothing before the greeting, it would never find out."""
TURN: Final = 1.0
"""Seconds to wait for one of these slots: a server may delay its greeting on purpose."""

SILENCE: Final = 2.0
"""Seconds after which the next address of a name is tried: one of several hosts may be down and not answer."""


class SpeaksLMTP(Exception):
    """The port speaks LMTP (RFC 2033), not SMTP."""


class Relay:
    """The configured relay.

    Raises:
        ConfigurationError: `ca_file` can't be read, or `helo` is not a host name.
    """

    def __init__(self, settings: EmailSettings) -> None:
        self._settings = settings
        self._tls = (
            None if settings.tls == "none" else verifying(settings.ca_file, "TIDINGS_EMAIL_CA_FILE")
        )
        self._helo = _name(settings.helo)
        self._pipelining = Pipelining(wanted=settings.pipelining)
        self._history = RelayingHistory()
        self._lookups = Lookups()
        self._greetings = asyncio.Semaphore(GREETINGS)
        self.provider = settings.recorded_as

    async def open(self, progress: MailProgress) -> SmtpConnection:
        """A new connection.

        Raises:
            SpeaksLMTP: The port speaks LMTP.
            SMTPException, OSError, ValueError: Opening failed, at `progress.stage`.
        """
        progress.stage = Stage.CONNECT
        smtp = self._client()
        try:
            await self._set_up(smtp, progress)
            return self._connection(smtp)
        except BaseException:
            _drop(smtp)
            raise

    async def _set_up(self, smtp: SMTP, progress: MailProgress) -> None:
        try:
            await self._connect(smtp)
            await self._greet(smtp, progress)
            await self._encrypt(smtp, progress)
            await self._log_in(smtp, progress)
        except (SMTPException, SpeaksLMTP) as error:
            if (reply := reply_in(error)) is None or reply.code != CLOSING:
                await _take_leave(smtp)
            raise

    async def _connect(self, smtp: SMTP) -> None:
        """Connect and read the greeting; aiosmtplib would disconnect without QUIT after a negative greeting."""
        addresses = await self._look_up()
        async with self._greeting_slot():
            smtp.transport, smtp.protocol = await self._reach(addresses)
            greeting = await smtp.protocol.read_response()
        if greeting.code != _READY:
            raise SMTPConnectResponseError(greeting.code, greeting.message)

    async def _look_up(self) -> list[str]:
        try:
            return [numeric(each) for each in await self._lookups.find(self._settings.host)]
        except RuntimeError as error:  # no thread could be started
            raise (OSError(errno.ENOMEM, str(error)) if shortage(error) else error) from None

    async def _reach(self, addresses: Sequence[str]) -> tuple[asyncio.Transport, SMTPProtocol]:
        """A connection to the first address that accepts one."""
        loop = asyncio.get_running_loop()
        implicit = self._settings.tls == "implicit"
        failure = OSError("the name has no address")
        for number, address in enumerate(addresses, start=1):
            try:
                async with asyncio.timeout(None if number == len(addresses) else SILENCE):
                    return await loop.create_connection(
                        lambda: SMTPProtocol(loop),
                        address,
                        self._settings.port,
                        ssl=self._tls if implicit else None,
                        server_hostname=self._settings.host if implicit else None,
                    )
            except ssl.SSLError:
                raise
            except OSError as error:
                failure = error
        raise failure

    @asynccontextmanager
    async def _greeting_slot(self) -> AsyncIterator[None]:
        """Hold one of the slots for greetings, or go on without one after `TURN` seconds."""
        held = False
        with suppress(TimeoutError):
            async with asyncio.timeout(TURN):
                held = await self._greetings.acquire()
        try:
            yield
        finally:
            if held:
                self._greetings.release()

    def _client(self) -> SMTP:
        return SMTP(
            hostname=self._settings.host,
            port=self._settings.port,
            local_hostname=self._helo or "localhost",
            timeout=None,  # one deadline is over the whole send
            use_tls=self._settings.tls == "implicit",
            start_tls=False,
            tls_context=self._tls,
        )

    async def _greet(self, smtp: SMTP, progress: MailProgress) -> None:
        progress.stage = Stage.HELLO
        if not self._helo:
            smtp.local_hostname = _literal(smtp.get_transport_info("sockname")[0])
        try:
            await smtp.ehlo()
        except SMTPHeloError as refused:
            if refused.code // 100 != 5 or not smtp.is_connected:
                raise
            await self._greet_with_helo(smtp)

    async def _greet_with_helo(self, smtp: SMTP) -> None:
        """HELO; a server that refuses it too may speak LMTP (RFC 2033)."""
        try:
            await smtp.helo()
        except SMTPHeloError:
            if smtp.is_connected:
                reply = await smtp.execute_command(b"LHLO", (smtp.local_hostname or "").encode())
                if reply.code // 100 == 2:
                    raise SpeaksLMTP from None
            raise

    async def _encrypt(self, smtp: SMTP, progress: MailProgress) -> None:
        if self._settings.tls != "starttls":
            return
        progress.stage = Stage.TLS
        await smtp.starttls()
        await smtp.ehlo()

    async def _log_in(self, smtp: SMTP, progress: MailProgress) -> None:
        if not self._settings.username:
            return
        progress.stage = Stage.LOGIN
        await smtp.login(self._settings.username, self._settings.password.get_secret_value())

    def _connection(self, smtp: SMTP) -> SmtpConnection:
        """Take over the connection that aiosmtplib opened."""
        if smtp.transport is None:
            raise SMTPServerDisconnected("Connection lost")
        offers = {name for name in EXTENSIONS if smtp.supports_extension(name)}
        transport = cast(asyncio.Transport, smtp.transport)
        login = SessionRelaying(self._history)
        return SmtpConnection(
            transport, frozenset(offers), self._pipelining, login, now=monotonic()
        )


def _name(setting: str) -> str:
    """The EHLO name: the setting, else this machine's full name, else empty for now."""
    if not setting:
        name = socket.gethostname()
        return name if _HOST_NAME.fullmatch(name) else ""
    if not _GREETING.fullmatch(setting):
        raise ConfigurationError(
            "TIDINGS_EMAIL_HELO is not a host name; write it like mail.example.com"
        )
    return setting


def _literal(address: str) -> str:
    """The address literal for a client without a name (RFC 5321, 4.1.4)."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    return f"[IPv6:{ip}]" if ip.version == 6 else f"[{ip}]"


async def _take_leave(smtp: SMTP) -> None:
    if smtp.is_connected:
        with suppress(SMTPException, OSError):
            await smtp.execute_command(b"QUIT", timeout=QUIT_TIMEOUT)


def _drop(smtp: SMTP) -> None:
    if smtp.transport is not None:
        # uvloop's transports are not instances of asyncio's.
        cast(asyncio.Transport, smtp.transport).abort()
    smtp.close()
