"""One mail as a sink received it, and its parts as a person reads them."""

import email
import email.policy
from dataclasses import dataclass
from datetime import datetime
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import EmailMessage
from functools import cached_property


@dataclass(frozen=True)
class ReceivedMail:
    """One mail as it came, envelope and bytes."""

    at: datetime
    sender: str
    recipients: tuple[str, ...]
    raw: bytes
    tls: bool
    """Whether the connection was encrypted."""
    user: str | None
    """Who logged in."""

    @cached_property
    def message(self) -> EmailMessage:
        """The mail, parsed."""
        return email.message_from_bytes(self.raw, policy=email.policy.default)

    @property
    def subject(self) -> str:
        return next((value for name, value in self.headers if name.lower() == "subject"), "")

    @cached_property
    def headers(self) -> list[tuple[str, str]]:
        """Name and value of each, for people: encoded words are decoded where that can be done."""
        return [(name, _decoded(str(value))) for name, value in self.message.raw_items()]

    @property
    def text(self) -> str | None:
        """The plain text, None where there is none."""
        return self._body("plain")

    @property
    def html(self) -> str | None:
        """The HTML, None where there is none."""
        return self._body("html")

    @property
    def attachments(self) -> list[tuple[str, str, int]]:
        """Name, content type and size in bytes of each."""
        return [
            (
                part.get_filename() or "(no name)",
                part.get_content_type(),
                len(part.get_payload(decode=True) or b""),
            )
            for part in self.message.iter_attachments()
        ]

    def _body(self, kind: str) -> str | None:
        part = self.message.get_body(preferencelist=(kind,))
        if part is None:
            return None
        payload = part.get_payload(decode=True)
        content = payload if isinstance(payload, bytes) else b""
        try:
            text = content.decode(part.get_content_charset("utf-8"), "replace")
        except LookupError:
            text = content.decode("utf-8", "replace")
        return text.replace("\r\n", "\n")


def _decoded(value: str) -> str:
    unfolded = "".join(value.splitlines())
    try:
        return str(make_header(decode_header(unfolded)))
    except (HeaderParseError, LookupError, ValueError):
        return unfolded
