"""Tries the relay without sending: what `tidings doctor` says of email."""

import asyncio
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from tidings.channels.email.addresses import Mailbox
from tidings.channels.email.closing import Farewells
from tidings.channels.email.connection import Progress
from tidings.channels.email.failures import TROUBLES, Explanation, explain
from tidings.channels.email.redaction import addressless, discreet
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
"""A sender that takes no mail may send all the same."""
_ASK: Final = "try again later; if it stays so, ask whoever runs the relay"
_THIS_MACHINE: Final = frozenset({"localhost", "127.0.0.1", "::1"})


async def check(relay: Relay, settings: EmailSettings, sender: Mailbox) -> Sequence[Finding]:
    """Connect, encrypt, log in, begin a mail from our sender to itself and take it back; stops at the first fault."""
    progress, farewells = Progress(), Farewells()
    try:
        async with asyncio.timeout(min(PATIENCE, settings.send_timeout)):
            connection = await farewells.opened(relay.open(progress))
            try:
                await connection.try_sender(sender.address, progress)
            finally:
                farewells.dismiss(connection)
    except TROUBLES as trouble:
        found = explain(
            trouble,
            progress.stage,
            lambda text: discreet(text, (sender.address,), Content()),
            hide=lambda text: addressless(text, (sender.address,)),
        )
        if not issubclass(found.reading.error, _ABOUT_THE_RECIPIENT):
            return [*_passed(progress.stage, settings), _fault(found, progress.stage)]
    finally:
        await farewells.all()
    return _passed(Stage.DATA, settings)


def _passed(reached: Stage, settings: EmailSettings) -> list[Finding]:
    """What has been found well before this stage."""
    answers = Finding("email: relay", Verdict.OK, f"{settings.host}:{settings.port} answers")
    login = "accepted" if settings.username else "none is configured"
    findings = {
        Stage.HELLO: answers,
        Stage.TLS: encryption(settings),
        Stage.LOGIN: Finding("email: login", Verdict.OK, login),
        Stage.RECIPIENT: Finding("email: sender", Verdict.OK, "the relay takes mail from it"),
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


def _fault(found: Explanation, stage: Stage) -> Finding:
    return Finding(
        _SUBJECTS[stage],
        Verdict.FAULT,
        found.what,
        found.reading.remedy or _REMEDIES.get(stage, _ASK),
    )
