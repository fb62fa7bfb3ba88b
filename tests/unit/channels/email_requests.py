"""Requests for mails, and what a mail program makes of the bytes."""

import email
import email.policy
import re
from base64 import b64encode
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any
from uuid import uuid4

import pydantic_core

from tidings.channels.email.addresses import Mailbox
from tidings.channels.email.bodies import Payload
from tidings.channels.email.message import Mail, compose
from tidings.delivery.attempt import Attempt, Lane
from tidings.delivery.ports import Content, SendRequest
from tidings_events import parse

NOW = datetime(2026, 11, 22, 17, 40, 5, tzinfo=UTC)
SENDER = Mailbox("no-reply@tidings.example", "Tidings")


def request(content: Content, *, epoch: int = 0, number: int = 1, **fields: Any) -> SendRequest:
    """An attempt at a mail to Anna."""
    written = {"id": str(uuid4()), "channel": "email", "recipient": "anna@example.org"}
    body = pydantic_core.to_json({**written, "subject": "s", "body": "b", **fields})
    attempt = Attempt(parse(body), body, Lane("email", "normal"), epoch, number, NOW)
    return SendRequest(attempt, content, 1.0)


def mail(content: Content, sender: Mailbox = SENDER, **fields: Any) -> Mail:
    """The mail that is made of it."""
    [made] = compose(request(content, **fields), sender, NOW)
    return made


def read(payload: Payload) -> EmailMessage:
    """As a mail program reads it."""
    message = email.message_from_bytes(bytes(payload), policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def words(part: EmailMessage) -> str:
    """The text of a part, with plain line ends."""
    content = part.get_content()
    assert isinstance(content, str)
    return content.replace("\r\n", "\n")


def base64(content: bytes) -> str:
    """As the contract wants files."""
    return b64encode(content).decode()


def assert_well_formed(written: Payload) -> None:
    """Seven bits, whole line ends and no line longer than RFC 5322 has it."""
    payload = bytes(written)
    assert len(payload) == len(written)
    assert payload.isascii()
    assert b"\0" not in payload
    assert payload.endswith(b"\r\n")
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)", payload)
    assert max(map(len, payload.split(b"\r\n"))) <= 998
