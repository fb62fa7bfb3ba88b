"""Builds a mail from a notification and its content: SMTP envelope and message bytes.

Pure: the same arguments give the same bytes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from email.utils import format_datetime
from functools import lru_cache
from typing import Final

from tidings.channels.email.addresses import Mailbox, deliverable
from tidings.channels.email.bodies import (
    Part,
    Payload,
    file_part,
    joined,
    multipart,
    text_part,
)
from tidings.channels.email.headers import address_field, name_only, shown, text_field
from tidings.delivery.errors import Rejected
from tidings.delivery.ports import Content, SendRequest
from tidings.delivery.value import value
from tidings_events import Attachment, EmailNotification

_AUTO_SUBMITTED: Final = "Auto-Submitted"


@value(frozen=True, slots=True)
class Envelope:
    """The SMTP envelope: sender and recipients as sent to the relay."""

    sender: str
    recipient: str
    """The notification's own recipient; empty if the mail is only for copies."""
    copies: tuple[str, ...]
    """Cc and bcc, each once."""
    override: bool
    """Whether the sender is the notification's `from_address`."""
    international: bool
    """Whether an address is not ASCII, which needs SMTPUTF8 (RFC 6531)."""

    @property
    def everyone(self) -> tuple[str, ...]:
        """The recipient, followed by the copies."""
        return (self.recipient, *self.copies) if self.recipient else self.copies

    def only(self, some: Sequence[str]) -> "Envelope":
        """The same for some of its recipients."""
        recipient = self.recipient if self.recipient in some else ""
        copies = tuple(each for each in some if each != recipient)
        return replace(self, recipient=recipient, copies=copies)


@value(frozen=True, slots=True)
class Mail:
    """A mail ready to be sent to a relay."""

    envelope: Envelope
    payload: Payload

    def only(self, some: Sequence[str]) -> "Mail":
        """The same for some of its recipients."""
        return (
            self if some == self.envelope.everyone else Mail(self.envelope.only(some), self.payload)
        )


def compose(request: SendRequest, sender: Mailbox, now: datetime) -> tuple[Mail, ...]:
    """The mails of this attempt, for the recipients that have no final result yet.

    If only copies have non-ASCII addresses, they get a separate mail: many relays, or the next hop, don't support
    such addresses and would refuse the mail for all recipients. For the same reason a non-ASCII `reply_to` uses
    SMTPUTF8 only if the mail needs it anyway.

    Raises:
        Rejected: No valid mail can be built: a line break in a header, an invalid address.
    """
    notification = request.notification
    if not isinstance(notification, EmailNotification):
        raise Rejected(f"this is a notification for {notification.channel}, not for email")
    try:
        return tuple(
            Mail(wire, build(request, notification, sender, now, ascii_only=not wire.international))
            for wire in envelopes(request, notification, sender)
        )
    except UnicodeEncodeError:
        raise Rejected("the text contains half of a surrogate pair; correct it") from None
    except ValueError as invalid:
        raise Rejected(str(invalid)) from None


def envelopes(
    request: SendRequest, notification: EmailNotification, sender: Mailbox
) -> Iterator[Envelope]:
    """The envelopes of the mails; raises Rejected for an address that can't be written in SMTP."""
    own = notification.from_address
    origin = deliverable(own) if own else sender.address
    recipient = deliverable(notification.recipient)
    others = (deliverable(each) for each in (*notification.cc, *notification.bcc))
    copies = tuple(dict.fromkeys(each for each in others if each != recipient))
    whole = Envelope(
        sender=origin,
        recipient=recipient,
        copies=copies,
        override=own is not None,
        international=not f"{origin}{recipient}".isascii(),
    )
    if request.recipients:
        settled = {deliverable(result.address) for result in request.recipients if result.settled}
        whole = whole.only([each for each in whole.everyone if each not in settled])
    if whole.international or "".join(copies).isascii():
        return iter((whole,) if whole.everyone else ())
    plain = whole.only([each for each in whole.everyone if each.isascii()])
    apart = whole.only([each for each in whole.everyone if not each.isascii()])
    return (each for each in (plain, replace(apart, international=True)) if each.everyone)


def build(
    request: SendRequest,
    notification: EmailNotification,
    sender: Mailbox,
    now: datetime,
    *,
    ascii_only: bool,
) -> Payload:
    """The mail as sent, before dot-stuffing.

    `Message-ID` contains the notification's id and epoch, so that every retry has the same one and
    a mailbox can drop duplicates; a replay has a new one. `Date` is the time of this attempt: a mail
    that waited in a retry queue or was replayed days later would otherwise sort below newer mail and
    look stale to spam filters, and duplicates are not recognised by it.

    Args:
        ascii_only: Whether non-ASCII addresses in Cc and Reply-To are shown as names.

    Raises:
        ValueError: A header has a line break or an invalid name.
    """
    content, boundary = request.content, f"=_{notification.id.hex}"
    fields = [
        *_addressed(notification, sender, ascii_only=ascii_only),
        text_field("Subject", content.subject),
        f"Date: {_date(now.replace(microsecond=0))}",
        f"Message-ID: <{request.key}@{sender.domain}>",
        *_further(notification.headers),
        "MIME-Version: 1.0",
    ]
    whole = _content(content, notification.attachments, boundary)
    head = "\r\n".join((*fields, whole.head, ""))
    return joined((head.encode(), whole.body))


@lru_cache(maxsize=4)
def _date(second: datetime) -> str:
    """RFC 5322, 3.3; cached for all mails of a second."""
    return format_datetime(second)


def _addressed(notification: EmailNotification, sender: Mailbox, *, ascii_only: bool) -> list[str]:
    """From, To, Cc and Reply-To."""
    own = notification.from_address
    fields = [
        f"From: {deliverable(own) if own else shown(sender.name, sender.address)}",
        f"To: {deliverable(notification.recipient)}",
    ]
    if notification.cc:
        copies = map(deliverable, notification.cc)
        fields.append(
            address_field("Cc", (name_only("Cc", each) if ascii_only else each for each in copies))
        )
    if notification.reply_to:
        replies = deliverable(notification.reply_to)
        fields.append(f"Reply-To: {name_only('Reply-To', replies) if ascii_only else replies}")
    return fields


def _further(headers: dict[str, str]) -> list[str]:
    """The producer's headers, and one that stops autoresponders (RFC 3834, 5)."""
    fields = [text_field(name, value) for name, value in headers.items()]
    if not headers or _AUTO_SUBMITTED.lower() not in map(str.lower, headers):
        fields.append(f"{_AUTO_SUBMITTED}: auto-generated")
    return fields


def _content(content: Content, files: tuple[Attachment, ...], boundary: str) -> Part:
    """Text, HTML with its images, and files, nested by RFC 2046 and RFC 2387."""
    images = [file for file in files if content.html and file.content_id]
    others = [file for file in files if not (content.html and file.content_id)]
    body = _body(content, images, boundary)
    if not others:
        return body
    parts = (body, *(file_part(file, inline=False) for file in others))
    return multipart("mixed", parts, f"{boundary}_m")


def _body(content: Content, images: list[Attachment], boundary: str) -> Part:
    if not content.html:
        return text_part("plain", content.text, boundary)
    html = text_part("html", content.html, boundary)
    if images:
        parts = (html, *(file_part(image, inline=True) for image in images))
        html = multipart("related", parts, f"{boundary}_r", extra='; type="text/html"')
    if not content.text:
        return html
    return multipart(
        "alternative", (text_part("plain", content.text, boundary), html), f"{boundary}_a"
    )
