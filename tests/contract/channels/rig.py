"""What a channel brings to the conformance suite: a real provider on loopback that does as told.

To put a channel through the suite, write `rigs/<channel>_rig.py` with a class that follows `Rig`
and name it there: `RIG = EmailRig`. Nothing else needs to know of it.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from types import TracebackType
from typing import Any, ClassVar, Final, Protocol, Self
from uuid import uuid4

import pydantic_core

from tidings.delivery.attempt import Attempt, Lane
from tidings.delivery.errors import (
    DeliveryError,
    Misconfigured,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Unavailable,
)
from tidings.delivery.ports import Channel, Content, SendRequest
from tidings_events import parse


class Behaviour(StrEnum):
    """What a provider does with one send.

    Providers quote what they were given, so every refusal a rig answers with has to contain the
    recipient and the words of the notification.
    """

    DELIVERED = "delivered"
    """Takes it."""
    REJECTED = "rejected"
    """Refuses this notification for good, because of its recipient: unknown, or wants no more."""
    UNAVAILABLE = "unavailable"
    """Says that it can't now."""
    GONE = "gone"
    """Drops the connection before it has been given the payload."""
    THROTTLED = "throttled"
    """Says that we are too fast."""
    TIMEOUT = "timeout"
    """Goes silent before it has been given the payload, and stays so until it is hung up on."""
    REPLY_LOST = "reply_lost"
    """Has been given the whole payload and drops the connection without a word."""
    REPLY_LATE = "reply_late"
    """Has been given the whole payload and stays silent until it is hung up on."""
    GARBAGE = "garbage"
    """Answers what no provider of its kind ever would."""
    ENDLESS = "endless"
    """Answers without end, and never with a verdict."""
    MISCONFIGURED = "misconfigured"
    """Refuses us, not the notification: credentials, sender."""


EXPECTED: Final[Mapping[Behaviour, tuple[type[DeliveryError], ...]]] = {
    Behaviour.REJECTED: (Rejected,),
    Behaviour.UNAVAILABLE: (Unavailable,),
    Behaviour.GONE: (Unavailable,),
    Behaviour.THROTTLED: (Throttled,),
    Behaviour.TIMEOUT: (Unavailable,),
    Behaviour.REPLY_LOST: (OutcomeUnknown,),
    Behaviour.REPLY_LATE: (OutcomeUnknown,),
    Behaviour.GARBAGE: (Unavailable, OutcomeUnknown),
    Behaviour.ENDLESS: (Unavailable, OutcomeUnknown),
    Behaviour.MISCONFIGURED: (Misconfigured,),
}
"""The errors, by their exact class, that each behaviour may end in."""

BROKEN: Final = frozenset({Behaviour.GONE, Behaviour.GARBAGE, Behaviour.ENDLESS})
"""What is no answer: its errors come from the libraries underneath, and a circuit opens before
there are many."""
SILENT: Final = frozenset({Behaviour.TIMEOUT, Behaviour.REPLY_LATE})
"""Behaviours that end only by our own timeout."""


class Rig(Protocol):
    """A provider on loopback and the means to make a channel that talks to it.

    Entered before, and left after each test; made without arguments, or of the fixtures that it names in `fixtures`.
    """

    name: ClassVar[str]
    """The channel's name."""
    speaks: ClassVar[frozenset[Behaviour]]
    """What this provider can do. All of `Behaviour`, but where the medium has no such thing: say why."""
    faults: ClassVar[frozenset[Behaviour]]
    """Those under which `check()` has to report a fault; empty where it asks no provider."""
    personal: ClassVar[tuple[str, ...]]
    """The recipient and the words of every `request()`: no error may contain one."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    async def channel(self) -> Channel:
        """A new channel that talks to this provider; the test closes it."""
        ...

    def request(self, *, timeout: float = 5.0) -> SendRequest:
        """A new notification (with an id of its own) for this provider."""
        ...

    def script(self, *behaviours: Behaviour) -> None:
        """What the provider does with the next sends, one each, instead of what was left to do.

        After the last it delivers again.
        """
        ...

    @property
    def taken(self) -> int:
        """Notifications whose whole payload the provider has been given and did not refuse."""
        ...

    @property
    def silent(self) -> int:
        """Sends that the provider is leaving without an answer right now."""
        ...

    @property
    def connections(self) -> int:
        """Connections open to the provider right now."""
        ...


@dataclass(frozen=True, slots=True)
class Words:
    """What each rig's notifications say: recognisable wherever it leaks."""

    subject: str = "Your aubergine subscription"
    text: str = "Dear Wilhelmina, the passcode of your aubergine is 730914."
    html: str = "<p>Dear Wilhelmina, the passcode of your <b>aubergine</b> is 730914.</p>"


WORDS: Final = Words()
PERSONAL: Final = ("Wilhelmina", "aubergine", "730914")
"""Parts of `WORDS` that no error may contain; a rig adds the recipient."""


def request_for(
    fields: Mapping[str, Any], content: Content, *, timeout: float, epoch: int = 0, number: int = 1
) -> SendRequest:
    """The first attempt at a notification with these fields, an id and the rest by default."""
    body = pydantic_core.to_json({"id": str(uuid4()), "version": 1, **fields})
    notification = parse(body)
    attempt = Attempt(
        notification=notification,
        body=body,
        lane=Lane(notification.channel, notification.priority),
        epoch=epoch,
        number=number,
        first_seen=datetime.now(UTC),
    )
    return SendRequest(attempt=attempt, content=content, timeout=timeout)


Within = Callable[[Callable[[], bool]], Awaitable[None]]
"""The `within` fixture: waits until a condition holds, and fails the test after a few seconds."""
