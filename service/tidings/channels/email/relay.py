"""How to reach the relay: opens connections that are greeted, encrypted and logged in."""

import asyncio
import ipaddress
import re
import socket
from time import monotonic
from typing import cast

from aiosmtplib import SMTP, SMTPHeloError, SMTPServerDisconnected

from tidings.certificates import verifying
from tidings.channels.email.connection import EXTENSIONS, Connection, Progress
from tidings.channels.email.replies import Stage
from tidings.delivery.errors import ConfigurationError
from tidings.settings import EmailSettings

_HOST_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9-]+)+")
_GREETING = re.compile(r"[!-~]{1,255}")


class Relay:
    """The configured relay.

    Raises:
        ConfigurationError: `ca_file` can't be read, or `helo` is no name.
    """

    def __init__(self, settings: EmailSettings) -> None:
        self._settings = settings
        self._tls = (
            None if settings.tls == "none" else verifying(settings.ca_file, "TIDINGS_EMAIL_CA_FILE")
        )
        self._helo = _name(settings.helo)
        self.provider = f"smtp:{settings.host}"

    async def open(self, progress: Progress) -> Connection:
        """A new connection.

        Raises:
            SMTPException, OSError, ValueError: It failed, at `progress.stage`.
        """
        progress.stage = Stage.CONNECT
        smtp = self._client()
        try:
            await smtp.connect()
            await self._greet(smtp, progress)
            await self._encrypt(smtp, progress)
            await self._log_in(smtp, progress)
            return self._connection(smtp)
        except BaseException:
            _drop(smtp)
            raise

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

    async def _greet(self, smtp: SMTP, progress: Progress) -> None:
        progress.stage = Stage.HELLO
        if not self._helo:
            smtp.local_hostname = _literal(smtp.get_transport_info("sockname")[0])
        try:
            await smtp.ehlo()
        except SMTPHeloError as refused:
            if refused.code // 100 != 5 or not smtp.is_connected:
                raise
            await smtp.helo()

    async def _encrypt(self, smtp: SMTP, progress: Progress) -> None:
        if self._settings.tls != "starttls":
            return
        progress.stage = Stage.TLS
        await smtp.starttls()
        await smtp.ehlo()

    async def _log_in(self, smtp: SMTP, progress: Progress) -> None:
        if not self._settings.username:
            return
        progress.stage = Stage.LOGIN
        await smtp.login(self._settings.username, self._settings.password.get_secret_value())

    def _connection(self, smtp: SMTP) -> Connection:
        """What aiosmtplib has opened, to be used without it."""
        if smtp.transport is None:
            raise SMTPServerDisconnected("Connection lost")
        offers = {name for name in EXTENSIONS if smtp.supports_extension(name)}
        if not self._settings.pipelining:
            offers.discard("pipelining")
        transport = cast(asyncio.Transport, smtp.transport)
        return Connection(transport, frozenset(offers), now=monotonic())


def _name(setting: str) -> str:
    """What to greet with: the setting, else this machine's full name, else nothing yet."""
    if not setting:
        name = socket.gethostname()
        return name if _HOST_NAME.fullmatch(name) else ""
    if not _GREETING.fullmatch(setting):
        raise ConfigurationError(
            "TIDINGS_EMAIL_HELO is not a host name; write it like mail.example.com"
        )
    return setting


def _literal(address: str) -> str:
    """An address as a client without a name of its own greets (RFC 5321, 4.1.4)."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    return f"[IPv6:{ip}]" if ip.version == 6 else f"[{ip}]"


def _drop(smtp: SMTP) -> None:
    if smtp.transport is not None:
        # uvloop's transports are transports without being instances of asyncio's.
        cast(asyncio.Transport, smtp.transport).abort()
    smtp.close()
