"""Checks the relay without sending mail, for `tidings doctor`."""

import asyncio
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from tidings.channels.email.addresses import Mailbox
from tidings.channels.email.closing import ClosingConnections
from tidings.channels.email.connection import MailProgress
from tidings.channels.email.failures import FAILURES, Explanation, explain
from tidings.channels.email.redaction import redact, redact_addresses
from tidings.channels.email.relay import Relay
from tidings.channels.email.replies import Stage
from tidings.channels.email.settings import EmailSettings
from tidings.delivery.errors import Deferred, Rejected
from tidings.delivery.ports import Content, Finding, Verdict

PATIENCE: Final = 10.0
"""Seconds that a check takes at most."""

_SUBJECTS: Final[Mapping[Stage, str]] = MappingProxyType(
    {
        Stage.CONNECT: "email: relay",
        Stage.HELLO: "email: relay",
        Stage.TLS: "email: encryption",
        Stage.LOGIN: "email: login",
        Stage.SENDER: "email: sender",
        Stage.RECIPIENT: "email: sender",
    }
)
_REMEDIES: Final[Mapping[Stage, str]] = MappingProxyType(
    {
        Stage.CONNECT: "check that the relay runs, TIDINGS_EMAIL_HOST and TIDINGS_EMAIL_PORT",
        Stage.HELLO: "check TIDINGS_EMAIL_PORT and TIDINGS_EMAIL_TLS",
        Stage.TLS: "check TIDINGS_EMAIL_TLS",
    }
)
_ABOUT_THE_RECIPIENT: Final = (Rejected, Deferred)
"""A sender address that accepts no mail may send nevertheless."""
_ASK: Final = "try again later; if it persists, contact the relay's administrator"
_THIS_MACHINE: Final = frozenset({"localhost", "127.0.0.1", "::1"})


async def check(relay: Relay, settings: EmailSettings, sender: Mailbox) -> Sequence[Finding]:
    """Connect, encrypt, log in, begin a mail from our sender to itself and reset; stops at the first fault."""
    progress, closing = MailProgress(), ClosingConnections()
    try:
        async with asyncio.timeout(min(PATIENCE, settings.send_timeout)):
            connection = await closing.open(relay.open(progress))
            try:
                await connection.test_sender(sender.address, progress)
            finally:
                closing.close(connection)
    except FAILURES as error:
        found = explain(
            error,
            progress.stage,
            lambda text: redact(text, (sender.address,), Content()),
            redact_addresses=lambda text: redact_addresses(text, (sender.address,)),
        )
        if not issubclass(found.diagnosis.error, _ABOUT_THE_RECIPIENT):
            return [*_passed(progress.stage, settings), _fault(found, progress.stage)]
    finally:
        await closing.wait_for_all()
    return _passed(Stage.DATA, settings)


def _passed(reached: Stage, settings: EmailSettings) -> list[Finding]:
    """Findings of the stages before the one reached."""
    answers = Finding("email: relay", Verdict.OK, f"{settings.host}:{settings.port} answers")
    login = "accepted" if settings.username else "none is configured"
    findings = {
        Stage.HELLO: answers,
        Stage.TLS: encryption(settings),
        Stage.LOGIN: Finding("email: login", Verdict.OK, login),
        Stage.RECIPIENT: Finding("email: sender", Verdict.OK, "the relay accepts mail from it"),
    }
    return [finding for stage, finding in findings.items() if stage < reached]


def encryption(settings: EmailSettings) -> Finding:
    """Whether mail and login are encrypted on the way to the relay."""
    if settings.tls != "none":
        return Finding("email: encryption", Verdict.OK, "TLS with a trusted certificate")
    if settings.host in _THIS_MACHINE:
        return Finding("email: encryption", Verdict.OK, "none; not needed on this machine")
    return Finding(
        "email: encryption",
        Verdict.WARNING,
        "mail and login cross the network in cleartext",
        "set TIDINGS_EMAIL_TLS=starttls",
    )


def _fault(found: Explanation, stage: Stage) -> Finding:
    return Finding(
        _SUBJECTS[stage],
        Verdict.FAULT,
        found.what,
        found.diagnosis.remedy or _REMEDIES.get(stage, _ASK),
    )
