"""Turns a notification and its words into the bytes of a mail, and says whom they are for.

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
    """Who a mail is from and whom it is for, as the relay is told."""

    sender: str
    recipient: str
    """Whom the notification is for; empty where it is only for copies."""
    copies: tuple[str, ...]
    """Cc and bcc, each once."""
    override: bool
    """Whether the notification names its own sender."""
    international: bool
    """Whether an address is beyond ASCII, which takes SMTPUTF8 (RFC 6531)."""

    @property
    def everyone(self) -> tuple[str, ...]:
        """Whom it is for, and then its copies."""
        return (self.recipient, *self.copies) if self.recipient else self.copies

    def only(self, some: Sequence[str]) -> "Envelope":
        """The same for some of its recipients."""
        recipient = self.recipient if self.recipient in some else ""
        copies = tuple(each for each in some if each != recipient)
        return replace(self, recipient=recipient, copies=copies)


@value(frozen=True, slots=True)
class Mail:
    """A mail ready to be handed to a relay."""

    envelope: Envelope
    payload: Payload

    def only(self, some: Sequence[str]) -> "Mail":
        """The same for some of its recipients."""
        return (
            self if some == self.envelope.everyone else Mail(self.envelope.only(some), self.payload)
        )


def compose(request: SendRequest, sender: Mailbox, now: datetime) -> tuple[Mail, ...]:
    """The mail for this attempt: for those of whom no earlier one has settled what becomes of them.

    Where only copies have addresses beyond ASCII they get a mail apart: many a relay, or the one behind it, can't
    pass such an address on, and would refuse the mail for everybody whom it could reach. For the same reason a
    `reply_to` beyond ASCII takes SMTPUTF8 only where the mail takes it anyway.

    Raises:
        Rejected: No mail can be made of it: a line break in a header, an impossible address.
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
        raise Rejected("the text has half of a surrogate pair in it; correct it") from None
    except ValueError as invalid:
        raise Rejected(str(invalid)) from None


def envelopes(
    request: SendRequest, notification: EmailNotification, sender: Mailbox
) -> Iterator[Envelope]:
    """Whom the relay is told about; raises Rejected for an address that it could not take."""
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
        settled = {deliverable(one.address) for one in request.recipients if one.settled}
        whole = whole.only([each for each in whole.everyone if each not in settled])
    if whole.international or "".join(copies).isascii():
        return iter((whole,) if whole.everyone else ())
    plain = whole.only([each for each in whole.everyone if each.isascii()])
    apart = whole.only([each for each in whole.everyone if not each.isascii()])
    return (one for one in (plain, replace(apart, international=True)) if one.everyone)


def build(
    request: SendRequest,
    notification: EmailNotification,
    sender: Mailbox,
    now: datetime,
    *,
    ascii_only: bool,
) -> Payload:
    """The mail as it travels, but for the dots that SMTP doubles.

    `Message-ID` names the notification and its epoch, so that every retry carries the same one and
    a mailbox can drop a repeat; a replay on purpose carries a new one. `Date` is the time of this
    attempt: one that waited in a retry queue or was replayed days later would otherwise sort below
    newer mail and look stale to spam filters, and nothing tells repeats apart by it.

    Args:
        ascii_only: Whether addresses beyond ASCII are shown as names, those of copies and where replies go.

    Raises:
        ValueError: A header has a line break or an impossible name.
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
    """RFC 5322, 3.3; the same for all mails of a second."""
    return format_datetime(second)


def _addressed(notification: EmailNotification, sender: Mailbox, *, ascii_only: bool) -> list[str]:
    """From, To, Cc and Reply-To; whom it is blind-copied to is nobody's business."""
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
    """The producer's own; and a word to autoresponders not to answer (RFC 3834, 5)."""
    fields = [text_field(name, value) for name, value in headers.items()]
    if not headers or _AUTO_SUBMITTED.lower() not in map(str.lower, headers):
        fields.append(f"{_AUTO_SUBMITTED}: auto-generated")
    return fields


def _content(content: Content, files: tuple[Attachment, ...], boundary: str) -> Part:
    """Text, HTML with its images, and files, nested as RFC 2046 and RFC 2387 say."""
    images = [file for file in files if content.html and file.content_id]
    others = [file for file in files if not (content.html and file.content_id)]
    words = _words(content, images, boundary)
    if not others:
        return words
    parts = (words, *(file_part(file, inline=False) for file in others))
    return multipart("mixed", parts, f"{boundary}_m")


def _words(content: Content, images: list[Attachment], boundary: str) -> Part:
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
