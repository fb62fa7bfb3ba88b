"""A notification sent as an email."""

import base64
import binascii
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Annotated, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)

from tidings_events.notifications.addresses import EmailAddress
from tidings_events.notifications.base import Problem, TemplatedNotification, is_empty
from tidings_events.notifications.examples import COMMON, SCHEDULED, Examples
from tidings_events.notifications.fields import (
    LINE_IN_SCHEMA,
    NO_NUL,
    NO_NUL_IN_SCHEMA,
    ONE_LINE,
    Unquoted,
    given,
)

MAX_ATTACHMENTS = 20
MAX_ATTACHED_BYTES = 7 * 1024 * 1024
_OCTETS = "application/octet-stream"
_MEDIA_TYPE = "[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+"
_BASE64 = "([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"
_LONGEST_HEADER = 998

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,76}")
_OWNED_BY_TIDINGS = re.compile(
    r"from|to|cc|bcc|sender|reply-to|subject|date|message-id|mime-version|return-path|received|"
    r"dkim-signature|authentication-results|delivered-to|(content|resent|arc|x-tidings)-.*",
    re.IGNORECASE,
)

READ_BY_PROGRAMS = re.compile(
    r"list-.*|references|in-reply-to|feedback-id|auto-submitted|precedence|importance|priority|"
    r"x-priority|sensitivity|expires|supersedes|disposition-notification-.*|return-receipt-to|"
    r"errors-to|require-recipient-valid-since|tls-required|bimi-selector|autocrypt",
    re.IGNORECASE,
)
"""Headers with a grammar of their own (RFC 2369, RFC 2919, RFC 5322, RFC 8058 …): never encoded (RFC 2047, 5)."""
_PRINTABLE = re.compile(r"[ -~]*")


def in_either_case(pattern: str) -> str:
    """The pattern for JSON Schema, whose regular expressions have no flags."""
    return re.sub("[a-z]", lambda letter: f"[{letter[0].upper()}{letter[0]}]", pattern)


def _decoded(value: object) -> object:
    """Text is base64, as in JSON; bytes are the content."""
    if not isinstance(value, str):
        return value
    if len(value) % 4 == 0 and not value.endswith("==="):  # `strict_mode` lets excess padding pass
        with suppress(ValueError):
            return binascii.a2b_base64(value, strict_mode=True)  # `b64decode` would copy it first
    raise ValueError("is not base64; encode it by RFC 4648 with padding")


def _encoded(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _file_name(value: str) -> str:
    if any(ord(c) < 32 or c in '/\\"\x7f' for c in value) or value in {".", ".."}:
        raise ValueError("is not a file name; leave out slashes, quotes and control characters")
    return value


def _or_octets(value: object) -> object:
    return _OCTETS if value is None else value


def _media_type(value: str) -> str:
    if value.lower().startswith(("multipart/", "message/")):
        raise ValueError("cannot be attached; use application/octet-stream")
    return value


class Attachment(BaseModel):
    """An attached file, or an image shown inside the HTML."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    filename: Annotated[str, AfterValidator(_file_name)] = Field(
        min_length=1,
        max_length=255,
        json_schema_extra={
            "pattern": '^[^\0-\x1f\x7f/\\\\"]*$',
            "not": {"enum": [".", ".."]},
        },
        description="Name shown to the recipient.",
        examples=["invoice.pdf"],
    )
    content_type: Annotated[
        str,
        StringConstraints(pattern=f"^{_MEDIA_TYPE}$", max_length=127),
        AfterValidator(_media_type),
        BeforeValidator(_or_octets),
    ] = Field(
        default=_OCTETS,
        json_schema_extra={
            "not": {
                "type": "string",
                "pattern": f"^({in_either_case('multipart|message')})/",
            }
        },
        description="Media type without parameters.",
        examples=["application/pdf"],
    )
    content: Annotated[
        bytes,
        BeforeValidator(_decoded),
        PlainSerializer(_encoded, return_type=str, when_used="json"),
        WithJsonSchema({"type": "string", "contentEncoding": "base64", "pattern": f"^{_BASE64}$"}),
        Unquoted(),
    ] = Field(description="The file, base64 (RFC 4648, padded).", examples=["aGVsbG8="])
    content_id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._@+-]{1,255}$")] | None = (
        Field(
            default=None,
            description="Shows the file inside the HTML, as `cid:<content_id>`, without brackets.",
            examples=["logo"],
        )
    )


def _headers(value: dict[str, str]) -> dict[str, str]:
    for name, text in value.items():
        if not _HEADER_NAME.fullmatch(name):
            raise ValueError(
                "has a name that is not a header's; use letters, digits and hyphens, e.g. X-Campaign"
            )
        if _OWNED_BY_TIDINGS.fullmatch(name):
            raise ValueError(f"sets {name}, which Tidings writes itself; remove it")
        if READ_BY_PROGRAMS.fullmatch(name) and not _PRINTABLE.fullmatch(text):
            raise ValueError(
                f"has characters in {name} that are not printable ASCII, and programs read it "
                "literally; write it in ASCII, URLs percent-encoded"
            )
    if len({name.lower() for name in value}) < len(value):
        raise ValueError("names a header twice (case does not count); give it once")
    return value


class EmailNotification(TemplatedNotification):
    """An email."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {
                    "allOf": [given("subject"), {"anyOf": [given("body"), given("html")]}],
                    "not": given("template"),
                },
                {
                    "allOf": [given("template")],
                    "properties": {name: {"type": "null"} for name in ("subject", "body", "html")},
                },
            ]
        }
    )
    content_fields = ("subject", "body", "html")
    copy_fields = ("cc", "bcc")
    examples: ClassVar[Examples] = {
        "minimal": {
            "recipient": "anna@example.org",
            "subject": "Welcome",
            "body": "Hello Anna, good to have you here.",
        },
        "full": {
            "recipient": "anna@example.org",
            **COMMON,
            "idempotency_key": "order-10042-receipt-email",
            "locale": "en-GB",
            "from_address": "billing@example.org",
            "reply_to": "help@example.org",
            "cc": ["accounts@example.org"],
            "bcc": ["archive@example.org"],
            "subject": "Your receipt for order 10042",
            "body": "Hello Anna,\n\nthank you for your order. The receipt is attached.\n",
            "html": "<p>Hello Anna,</p><p>thank you for your order. The receipt is attached.</p>"
            '<p><img src="cid:logo" alt=""></p>',
            "headers": {
                "List-Unsubscribe": "<https://example.org/unsubscribe>",
                "X-Shop": "books",
            },
            "attachments": [
                {
                    "filename": "receipt.txt",
                    "content_type": "text/plain",
                    "content": "T3JkZXIgMTAwNDI6IDEyLjUwIEVVUgo=",
                },
                {
                    "filename": "logo.gif",
                    "content_type": "image/gif",
                    "content": "R0lGODlhAQABAAAAACwAAAAAAQABAAACAkQBADs=",
                    "content_id": "logo",
                },
            ],
        },
        "template": {
            "recipient": "anna@example.org",
            "template": "receipt",
            "locale": "pt-BR",
            "data": {
                "name": "Anna",
                "order": {"id": 10042, "total": "12.50", "currency": "EUR"},
            },
        },
        "scheduled": {
            "recipient": "anna@example.org",
            **SCHEDULED,
            "category": "marketing",
            "subject": "Tonight",
            "body": "The doors open at eight.",
        },
        "international": {
            "recipient": "jörg@müller.example",
            "subject": "Grüße aus Köln",
            "body": "Schöne Grüße! 🎉",
        },
        "tenant": {
            "tenant": "acme",
            "recipient": "anna@example.org",
            "subject": "Welcome to Acme",
            "body": "Hello Anna, good to have you here.",
        },
        "test": {
            "test": True,
            "recipient": "fails-once@tidings.test",
            "subject": "Welcome",
            "body": "Hello Anna, good to have you here.",
        },
    }

    channel: Literal["email"] = Field(default="email", description="The channel.")
    recipient: EmailAddress = Field(description="Address it is sent to, without a display name.")
    from_address: EmailAddress | None = Field(
        default=None, description="Sender, if not the configured one."
    )
    reply_to: EmailAddress | None = Field(default=None, description="Where replies go.")
    cc: Annotated[tuple[EmailAddress, ...], FailFast()] = Field(
        default=(), max_length=50, exclude_if=is_empty, description="Also sent to, shown to all."
    )
    bcc: Annotated[tuple[EmailAddress, ...], FailFast()] = Field(
        default=(), max_length=50, exclude_if=is_empty, description="Also sent to, hidden from all."
    )
    subject: (
        Annotated[
            str,
            StringConstraints(min_length=1, max_length=998),
            ONE_LINE,
            LINE_IN_SCHEMA,
            Unquoted(),
        ]
        | None
    ) = Field(default=None, description="Subject, on one line.")
    body: (
        Annotated[
            str,
            StringConstraints(min_length=1, max_length=1_000_000),
            NO_NUL,
            NO_NUL_IN_SCHEMA,
            Unquoted(),
        ]
        | None
    ) = Field(default=None, description="Plain text.")
    html: (
        Annotated[
            str,
            StringConstraints(min_length=1, max_length=2_000_000),
            NO_NUL,
            NO_NUL_IN_SCHEMA,
            Unquoted(),
        ]
        | None
    ) = Field(default=None, description="HTML, in addition to plain text or instead.")
    headers: Annotated[
        dict[
            str,
            Annotated[str, StringConstraints(max_length=_LONGEST_HEADER), ONE_LINE, LINE_IN_SCHEMA],
        ],
        Field(max_length=50),
        AfterValidator(_headers),
        Unquoted(),
    ] = Field(
        default_factory=dict,
        exclude_if=is_empty,
        json_schema_extra={
            "propertyNames": {
                "pattern": f"^{_HEADER_NAME.pattern}$",
                "not": {"pattern": f"^({in_either_case(_OWNED_BY_TIDINGS.pattern)})$"},
            },
            "patternProperties": {
                f"^({in_either_case(READ_BY_PROGRAMS.pattern)})$": {
                    "type": "string",
                    "maxLength": _LONGEST_HEADER,
                    "pattern": f"^{_PRINTABLE.pattern}$",
                }
            },
        },
        description="Further headers, e.g. `List-Unsubscribe`. Those that address or structure "
        "the message are Tidings' own; those that programs parse are printable ASCII.",
        examples=[{"X-Campaign": "spring-2026"}],
    )
    attachments: Annotated[tuple[Attachment, ...], FailFast()] = Field(
        default=(),
        max_length=MAX_ATTACHMENTS,
        exclude_if=is_empty,
        description=f"At most {MAX_ATTACHMENTS} files, together at most 7 MiB before encoding.",
    )

    def broken_rules(self) -> Iterator[Problem]:
        """Content or template; attachments of a size that mail servers take."""
        yield from super().broken_rules()
        if self.attachments:
            yield from self._broken_attachment_rules()

    def _broken_attachment_rules(self) -> Iterator[Problem]:
        size = sum(len(attachment.content) for attachment in self.attachments)
        if size > MAX_ATTACHED_BYTES:
            allowed = f"at most {MAX_ATTACHED_BYTES:,} are allowed, so send a link"
            yield "attachments", f"are {size:,} bytes together; {allowed}"
        ids = [each.content_id for each in self.attachments if each.content_id]
        if len(set(ids)) < len(ids):
            yield "attachments", "use a `content_id` twice; give each its own"

    def _incomplete_content(self, written: list[str]) -> Iterator[Problem]:
        if self.subject is None:
            yield "subject", "is missing; give a `subject` and `body` or `html`, or a `template`"
        elif self.body is None and self.html is None:
            yield "body", "is missing; give `body` or `html`, or both"
