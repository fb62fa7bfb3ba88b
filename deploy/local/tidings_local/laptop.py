"""Everything on one machine: private servers, sinks for what is sent, and the roles between them."""

import asyncio
import os
import secrets
import shlex
import signal
import sys
from base64 import b64encode
from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Final, NoReturn, Self
from urllib.request import urlopen

from tidings.templates import copy_starter
from tidings_local.daemon import Guard
from tidings_local.data_directory import write_private
from tidings_local.errors import LocalStackError
from tidings_local.inbox_demo.site import InboxDemo
from tidings_local.inherited import inherited
from tidings_local.last_run import LastRun
from tidings_local.postgres import PostgreSQL
from tidings_local.rabbitmq import RabbitMQ
from tidings_local.sinks.mail import MailSink
from tidings_local.sinks.outbox import Outbox
from tidings_local.sinks.received_mail import ReceivedMail
from tidings_local.sinks.sms import SmsSink
from tidings_local.sinks.twilio_replies import ReceivedText
from tidings_local.sinks.webhook import ReceivedRequest, WebhookSink

COMMAND: Final = (sys.executable, "-c", "from tidings.cli.main import main; main()")
"""The `tidings` of this very installation, wherever it is."""
PATIENCE: Final = 60.0
"""Seconds that the roles may take to become ready."""


class Laptop:
    """A whole Tidings under one folder. Use it with `async with`; `environment` leads to it.

    Args:
        data: The folder for everything that is written. A restart continues with it, at the
            same ports and with the same secrets.
        environment: Where `TIDINGS_AMQP_URL` or `TIDINGS_DATABASE_URL` is set in it, that server
            is used instead of a private one. Of the other variables only those are used that
            lead nowhere: see `tidings_local.inherited`.

    Raises:
        LocalStackError: One of these servers is on another machine.
    """

    def __init__(self, data: Path, environment: Mapping[str, str]) -> None:
        self.data = data
        self._last = LastRun(data)
        environment = self._last.others(environment)
        token = self._last.secret("TIDINGS_TWILIO_AUTH_TOKEN", partial(secrets.token_hex, 16))
        self.mail = MailSink(port=self._last.port("mail"))
        self.sms = SmsSink(port=self._last.port("sms"), auth_token=token)
        self.webhooks = WebhookSink(port=self._last.port("webhooks"))
        self.outbox = Outbox(self.mail, self.sms, self.webhooks, self._last.port("outbox"))
        self.inbox = InboxDemo(self, self._last.port("inbox"))
        self.rabbitmq: RabbitMQ | None = None
        self.postgresql: PostgreSQL | None = None
        if not environment.get("TIDINGS_AMQP_URL"):
            self.rabbitmq = RabbitMQ(data / "rabbitmq")
        if not environment.get("TIDINGS_DATABASE_URL"):
            self.postgresql = PostgreSQL(data / "postgresql")
        self.environment: dict[str, str] = {}
        """Every `TIDINGS_` variable that leads to what runs here."""
        self._inherited = inherited(environment)
        self._parts = AsyncExitStack()
        self._roles: asyncio.subprocess.Process | None = None
        self._guard: Guard | None = None
        self._key = ""
        self._making_key = asyncio.Lock()

    @property
    def ignored(self) -> tuple[str, ...]:
        """Variables of the shell that would lead elsewhere than to the stand-ins."""
        return self._inherited.ignored

    @property
    def log(self) -> Path:
        """Where the roles say what they do."""
        return self.data / "tidings.log"

    @property
    def environment_file(self) -> Path:
        """To be sourced by another terminal."""
        return self.data / "env"

    async def __aenter__(self) -> Self:
        try:
            await self._start_servers()
            self._bring_back_what_was_sent()
            for site in (self.mail, self.sms, self.webhooks, self.outbox, self.inbox):
                await self._parts.enter_async_context(site)
            settings = self._settings()
            self._last.remember(settings)
            self.environment = {**settings, **self._inherited.taken}
            self._write_environment()
        except BaseException:
            await self._parts.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stop_roles()
        await self._parts.aclose()

    async def start_roles(self) -> None:
        """Bring the tables up to date and start worker, scheduler, archive and API; returns when ready.

        Raises:
            LocalStackError: They did not become ready; says why, from their log.
        """
        await self.tidings("migrate")
        with self.log.open("ab") as log:
            self._roles = await asyncio.create_subprocess_exec(
                *COMMAND,
                "all",
                env=self._process_environment(),
                stdout=log,
                stderr=log,
                stdin=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )
        self._guard = Guard(self._roles.pid)
        try:
            async with asyncio.timeout(PATIENCE):
                while not await self._ready():
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise LocalStackError(
                f"the roles are not ready after {PATIENCE:g}s: see {self.log}"
            ) from None

    async def tidings(self, *arguments: str, width: int | None = None) -> str:
        """Run a command as a user would, and return what it printed.

        Args:
            width: Columns of the terminal that it is for; as wide as its lines where None.

        Raises:
            LocalStackError: It failed; says what it said.
        """
        process = await asyncio.create_subprocess_exec(
            *COMMAND,
            *arguments,
            env={**self._process_environment(), **({"COLUMNS": str(width)} if width else {})},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        if process.returncode:
            output = (err or out).decode(errors="replace").strip()
            raise LocalStackError(f"`tidings {shlex.join(arguments)}` failed: {output}")
        return out.decode()

    async def api_key(self) -> str:
        """A key to try the console and the HTTP API with, for a week: always the same. Raises like `tidings`."""
        async with self._making_key:
            if not self._key:
                scopes = (
                    f"--scope={scope}" for scope in ("send", "read", "reveal", "operate", "admin")
                )
                how = ("--tenant", "*", *scopes, "--name", "make-run", "--expires", "7d")
                self._key = (await self.tidings("keys", "create", *how)).strip()
        return self._key

    async def roles_end(self) -> NoReturn:
        """Wait until the roles end by themselves, which they should not.

        Raises:
            LocalStackError: They ended; says how.
        """
        assert self._roles is not None  # noqa: S101  # only asked once they run
        code = await self._roles.wait()
        if code >= 0:
            raise LocalStackError(
                f"the roles ended by themselves with {code}; the end of {self.log}:\n{self._last_words()}"
            )
        raise LocalStackError(
            f"the roles were ended from outside, by {signal.Signals(-code).name}: a person did that, or the system for "
            "want of memory; start again, and they go on with what they left"
        )

    def _bring_back_what_was_sent(self) -> None:
        """Once the servers are ours: until then another process may be writing it."""
        sent = self.data / "sent"
        self.mail.mails.keep_in(sent / "mails", ReceivedMail)
        self.sms.texts.keep_in(sent / "texts", ReceivedText)
        self.webhooks.requests.keep_in(sent / "webhooks", ReceivedRequest)

    async def _start_servers(self) -> None:
        servers = [server for server in (self.rabbitmq, self.postgresql) if server is not None]
        for server in servers:
            self._parts.push_async_callback(asyncio.to_thread, server.stop)
        starting = asyncio.gather(*(asyncio.to_thread(server.start) for server in servers))
        try:
            await asyncio.shield(starting)
        except asyncio.CancelledError:
            await asyncio.wait(
                [starting]
            )  # a thread can't be cancelled, and must not outlive its server
            raise

    def _settings(self) -> dict[str, str]:
        templates = self.data / "templates"
        if not templates.exists():
            copy_starter(templates)
        settings = {
            "TIDINGS_EMAIL_HOST": "127.0.0.1",
            "TIDINGS_EMAIL_PORT": str(self.mail.port),
            "TIDINGS_EMAIL_TLS": "none",
            "TIDINGS_EMAIL_SENDER": "Tidings <no-reply@example.com>",
            "TIDINGS_EMAIL_RETRY": "2s 5s 15s 1m",
            "TIDINGS_SMS_RETRY": "2s 5s 15s 1m",
            "TIDINGS_SMS_SENDER": "+15005550006",
            "TIDINGS_WHATSAPP_SENDER": "+15005550006",
            "TIDINGS_TWILIO_ACCOUNT_SID": self.sms.account_sid,
            "TIDINGS_TWILIO_AUTH_TOKEN": self.sms.auth_token,
            "TIDINGS_TWILIO_BASE_URL": self.sms.url,
            "TIDINGS_WEBHOOK_SECRET": self._last.secret("TIDINGS_WEBHOOK_SECRET", _signing_secret),
            "TIDINGS_WEBHOOK_ALLOW_PRIVATE": "true",
            "TIDINGS_WEBHOOK_RETRY": "2s 5s 15s 1m",
            "TIDINGS_TEMPLATES_ROOT": str(templates.resolve()),
            "TIDINGS_HTTP_PORT": str(self._last.port("http")),
            "TIDINGS_API_LISTEN": f"127.0.0.1:{self._last.port('api')}",
            "TIDINGS_API_JWT_SECRET": self._last.secret("TIDINGS_API_JWT_SECRET", _token_secret),
            "TIDINGS_API_JWT_ISSUER": "tidings-local",
            "TIDINGS_API_JWT_AUDIENCE": "tidings",
            "TIDINGS_API_ORIGINS": " ".join(self.inbox.origins),
        }
        if self.rabbitmq is not None:
            settings["TIDINGS_AMQP_URL"] = self.rabbitmq.amqp_url
            settings["TIDINGS_MANAGEMENT_URL"] = self.rabbitmq.management_login_url
        if self.postgresql is not None:
            settings["TIDINGS_DATABASE_URL"] = self._database()
        return settings

    def _database(self) -> str:
        assert self.postgresql is not None  # noqa: S101  # the caller has just checked
        if not self.postgresql.has_database("tidings"):
            return self.postgresql.create_database("tidings")
        return self.postgresql.url("tidings")

    def _write_environment(self) -> None:
        """Readable by this user alone: there are passwords in it."""
        lines = [f"unset {name}\n" for name in self.ignored]
        lines += [
            f"export {name}={shlex.quote(value)}\n"
            for name, value in sorted(self.environment.items())
        ]
        lines.append(f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"\n')
        write_private(self.environment_file, "".join(lines))

    def _process_environment(self) -> dict[str, str]:
        given = {name: value for name, value in os.environ.items() if name not in self.ignored}
        return {**given, **self.environment}

    async def _ready(self) -> bool:
        if self._roles is not None and self._roles.returncode is not None:
            raise LocalStackError(f"the roles ended at once:\n{self._last_words()}")
        return await asyncio.to_thread(
            _answers, f"http://127.0.0.1:{self.environment['TIDINGS_HTTP_PORT']}/readyz"
        )

    def _last_words(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])

    async def _stop_roles(self) -> None:
        if self._roles is not None and self._roles.returncode is None:
            self._roles.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(PATIENCE):
                    await self._roles.wait()
            except TimeoutError:
                self._roles.kill()
                await self._roles.wait()
        if self._guard is not None:
            self._guard.dismiss()


def _signing_secret() -> str:
    return f"whsec_{b64encode(secrets.token_bytes(24)).decode()}"


def _token_secret() -> str:
    return secrets.token_urlsafe(48)


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=2) as reply:  # noqa: S310  # our own, on loopback
            return bool(reply.status == 200)
    except OSError:
        return False
