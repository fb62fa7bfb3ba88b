"""Writes what a sink received as JSON, for scripts that look at it."""

from typing import Any

from tidings_local.sinks.received_mail import ReceivedMail
from tidings_local.sinks.twilio_replies import ReceivedText
from tidings_local.sinks.webhook import ReceivedRequest


def mail_json(number: int, mail: ReceivedMail) -> dict[str, Any]:
    """A mail, its parts decoded; `/mails/<number>/source` has the bytes."""
    return {
        "number": number,
        "at": mail.at.isoformat(),
        "sender": mail.sender,
        "recipients": list(mail.recipients),
        "subject": mail.subject,
        "text": mail.text,
        "html": mail.html,
        "attachments": [
            {"name": name, "type": kind, "size": size} for name, kind, size in mail.attachments
        ],
        "headers": [list(header) for header in mail.headers],
        "tls": mail.tls,
        "user": mail.user,
    }


def text_json(number: int, text: ReceivedText) -> dict[str, Any]:
    """A text message."""
    return {
        "number": number,
        "at": text.at.isoformat(),
        "sid": text.sid,
        "to": text.to,
        "from": text.sender,
        "messaging_service_sid": text.service,
        "body": text.body,
        "segments": text.segments,
        "content_sid": text.content_sid,
        "content_variables": text.content_variables,
        "status_callback": text.status_callback,
    }


def request_json(number: int, request: ReceivedRequest) -> dict[str, Any]:
    """A request to the webhook sink; bytes that are no text are replaced."""
    return {
        "number": number,
        "at": request.at.isoformat(),
        "method": request.method,
        "path": request.path,
        "headers": request.headers,
        "body": request.body.decode("utf-8", "replace"),
    }
