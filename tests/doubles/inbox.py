"""An inbox for tests in which no message may be delivered."""

from typing import Final

from tidings.channels.spec import ChannelServices
from tidings.delivery.inbox import InboxMessage


class UnusedInbox:
    """Fails the test if it is used."""

    async def deliver(self, message: InboxMessage, timeout: float) -> None:
        """Not in this test."""
        raise AssertionError(f"delivered: {message.id}")

    async def check(self) -> None:
        """Not in this test."""
        raise AssertionError("checked")


SERVICES: Final = ChannelServices(UnusedInbox())
"""Of a process that serves no channel for real."""
