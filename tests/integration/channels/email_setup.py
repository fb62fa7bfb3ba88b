"""An email channel that talks to a relay of ours, and mails to send over it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.contract.channels.rig import request_for
from tests.contract.channels.rigs.smtp_relay import Relay

from tidings.channels.email.channel import EmailChannel
from tidings.channels.email.settings import EmailSettings
from tidings.delivery.ports import Content, SendRequest

RECIPIENT = "anna@example.org"


@asynccontextmanager
async def channel_to(relay: Relay, **settings: Any) -> AsyncIterator[EmailChannel]:
    """A channel to this relay, one connection wide and unencrypted where nothing else is said."""
    defaults = {"host": "127.0.0.1", "port": relay.port, "tls": "none", "connections": 1}
    made = EmailChannel(
        EmailSettings(**{**defaults, "sender": "Tidings <no-reply@tidings.example>", **settings})
    )
    try:
        yield made
    finally:
        await made.close()


def mail(timeout: float = 5.0, *, text: str = "hello", **fields: Any) -> SendRequest:
    """A mail to Anna."""
    written = {"channel": "email", "recipient": RECIPIENT, "subject": "s", "body": "b", **fields}
    return request_for(written, Content(text, "Subject"), timeout=timeout)
