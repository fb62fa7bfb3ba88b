"""Tries the relay without sending: what `tidings doctor` says of email."""

import asyncio
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from tidings.channels.email.addresses import Mailbox
from tidings.channels.email.connection import Progress
from tidings.channels.email.discretion import discreet
from tidings.channels.email.relay import Relay
from tidings.channels.email.replies import Stage
from tidings.channels.email.troubles import TROUBLES, explain
from tidings.delivery.ports import Content, Finding, Verdict
from tidings.settings import EmailSettings

PATIENCE: Final = 10.0
"""Seconds that a check takes at most."""

_SUBJECTS: Final[Mapping[Stage, str]] = MappingProxyType(
    {
        Stage.CONNECT: "email: relay",
        Stage.HELLO: "email: relay",
        Stage.TLS: "email: encryption",
        Stage.LOGIN: "email: login",
        Stage.SENDER: "email: sender",
    }
)
_REMEDIES: Final[Mapping[Stage, str]] = MappingProxyType(
    {
        Stage.CONNECT: "check that the relay runs, TIDINGS_EMAIL_HOST and TIDINGS_EMAIL_PORT",
        Stage.HELLO: "check TIDINGS_EMAIL_PORT and TIDINGS_EMAIL_TLS",
        Stage.TLS: "check TIDINGS_EMAIL_TLS",
    }
)
_ASK: Final = "try again later; if it stays so, ask whoever runs the relay"
_THIS_MACHINE: Final = frozenset({"localhost", "127.0.0.1", "::1"})


async def check(relay: Relay, settings: EmailSettings, sender: Mailbox) -> Sequence[Finding]:
    """Connect, encrypt, log in, name our sender and take it back; stops at the first fault."""
    progress = Progress()
    try:
        async with asyncio.timeout(min(PATIENCE, settings.send_timeout)):
            connection = await relay.open(progress)
            try:
                await connection.try_sender(sender.address, progress)
            finally:
                await connection.quit()
    except TROUBLES as trouble:
        return [*_passed(progress.stage, settings), _fault(trouble, progress.stage)]
    return _passed(Stage.RECIPIENT, settings)


def _passed(reached: Stage, settings: EmailSettings) -> list[Finding]:
    """What has been found well before this stage."""
    answers = Finding("email: relay", Verdict.OK, f"{settings.host}:{settings.port} answers")
    login = "accepted" if settings.username else "none is configured"
    findings = {
        Stage.HELLO: answers,
        Stage.TLS: encryption(settings),
        Stage.LOGIN: Finding("email: login", Verdict.OK, login),
        Stage.SENDER: Finding("email: sender", Verdict.OK, "the relay takes mail from it"),
    }
    return [finding for stage, finding in findings.items() if stage < reached]


def encryption(settings: EmailSettings) -> Finding:
    """Whether mail and login are protected on their way to the relay."""
    if settings.tls != "none":
        return Finding("email: encryption", Verdict.OK, "TLS, with a certificate that is trusted")
    if settings.host in _THIS_MACHINE:
        return Finding("email: encryption", Verdict.OK, "none, and none needed on this machine")
    return Finding(
        "email: encryption",
        Verdict.WARNING,
        "mail and login cross the network in the clear",
        "set TIDINGS_EMAIL_TLS=starttls",
    )


def _fault(trouble: Exception, stage: Stage) -> Finding:
    found = explain(trouble, stage, lambda text: discreet(text, (), Content()))
    return Finding(
        _SUBJECTS[stage],
        Verdict.FAULT,
        found.what,
        found.reading.remedy or _REMEDIES.get(stage, _ASK),
    )
