"""A live connection: whose it is, what it has been sent, and the way to its client."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, Protocol

from tidings.ledger.inbox.following import Known
from tidings.ledger.inbox.messages import InboxUser


class CloseCode(IntEnum):
    """Why the server closes a connection, as a WebSocket's close frame says it (RFC 6455, 7.4)."""

    RESTARTING = 1012
    TRY_LATER = 1013
    BAD_FRAME = 4400
    UNAUTHENTICATED = 4401
    REVOKED = 4403
    NOT_STARTED = 4408
    EXPIRED = 4410
    TOO_SLOW = 4413
    TOO_MANY = 4429

    @property
    def reason(self) -> str:
        """The same in words."""
        return _REASONS[self]


_REASONS: Final = {
    CloseCode.RESTARTING: "this process stops: connect again",
    CloseCode.TRY_LATER: "no connection is possible now: try again later",
    CloseCode.BAD_FRAME: "the frame is not one of the protocol",
    CloseCode.UNAUTHENTICATED: "the token or ticket is missing or not valid",
    CloseCode.REVOKED: "the token was revoked",
    CloseCode.NOT_STARTED: "no start frame in time",
    CloseCode.EXPIRED: "the token has expired",
    CloseCode.TOO_SLOW: "frames were not read in time",
    CloseCode.TOO_MANY: "too many connections of this user, or too many in a short time",
}


class LiveRefusal(Exception):
    """A connection can't be, or can't go on.

    Args:
        code: Why.
    """

    def __init__(self, code: CloseCode) -> None:
        super().__init__(code.reason)
        self.code = code


@dataclass(frozen=True, slots=True)
class Access:
    """What a token permits: to follow one inbox, for a time."""

    tenant: str
    user_id: str
    expires_at: float
    """Seconds since 1970."""
    issued_at: float | None
    """Likewise; None if the token does not say."""

    @property
    def user(self) -> InboxUser:
        """Whose inbox it is."""
        return InboxUser(self.tenant, self.user_id)


@dataclass(frozen=True, slots=True)
class Frame:
    """What a client is sent."""

    type: str
    """`changes` or `reset`."""
    revision: int
    """What the client knows once it has it."""
    json: str


class Outlet(Protocol):
    """The way to a client. All its methods raise `OSError` if the client is gone."""

    @property
    def kind(self) -> str:
        """`websocket` or `sse`."""
        ...

    def send(self, frame: Frame) -> Coroutine[Any, Any, None]:
        """Send it; ends once there is room for more."""
        ...

    def heartbeat(self) -> Coroutine[Any, Any, None]:
        """Send a sign of life; ends likewise."""
        ...

    def close(self, code: CloseCode) -> Coroutine[Any, Any, None]:
        """Say why, and end the connection: whatever the client does, soon."""
        ...


@dataclass(slots=True, eq=False)
class LiveConnection:
    """A connection of a user."""

    access: Access
    user: InboxUser
    outlet: Outlet
    revision: int | None
    """Its client knows everything up to this; None: nothing yet."""
    greeted: bool = False
    """Whether it was sent its first frame."""
    behind: bool = True
    """Whether there may be something that it has not been sent."""
    closed: bool = False
    """Whether nothing more is sent."""
    closed_with: CloseCode | None = None
    """Why it was closed; None if its client left."""
    sending: asyncio.Task[None] | None = None
    """The one frame that is under way."""
    sent_at: float = 0.0
    """When the last one had arrived, by the event loop's clock."""

    @property
    def known(self) -> Known:
        """What its client knows."""
        return Known(self.user, self.revision)
