"""A mail's bytes are read exactly as those that the standard library would have written."""

import email.policy
from collections.abc import Iterator
from email.message import EmailMessage
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.unit.channels.email_requests import (
    NOW,
    SENDER,
    assert_well_formed,
    base64,
    read,
    request,
)

from tidings.channels.email.message import compose
from tidings.delivery.ports import Content
from tidings_events import Attachment, EmailNotification

ANYTHING = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
LINE = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=300).filter(
    lambda value: "=?" not in value
)
"""Without what the library can't write: control characters, and `=?` that is meant as such."""
BODY = ANYTHING | st.lists(st.sampled_from([".", "..", " ", "\t", "x" * 898, "é", "\r", "\n"])).map(
    "".join
)
FILES: st.SearchStrategy[dict[str, Any]] = st.builds(
    dict,
    filename=st.text(
        st.characters(exclude_categories=["Cs", "Cc"], exclude_characters='/\\"'),
        min_size=1,
        max_size=120,
    ).filter(
        # The library takes a name like `=?…?=` for an encoded word, and reads it as something else.
        lambda name: name not in {".", ".."} and name == name.strip() and "=?" not in name
    ),
    content_type=st.sampled_from(["application/pdf", "image/png", "application/octet-stream"]),
    content=st.binary(max_size=300),
    content_id=st.none() | st.uuids().map(lambda each: f"{each.hex}@tidings"),
)
HEADERS = ("From", "To", "Cc", "Reply-To", "Subject", "X-Note")


@settings(deadline=None, max_examples=150)
@given(
    subject=LINE,
    text=BODY,
    html=st.none() | BODY,
    note=LINE,
    files=st.lists(FILES, max_size=3),
)
@example(subject="é" * 300, text="", html=None, note=" \t ", files=[])
@example(subject="a" * 300, text="x" * 2000, html="\r\r\n\n", note="b " * 300, files=[])
def test_what_a_mail_program_reads_is_what_the_library_would_have_written(
    subject: str, text: str, html: str | None, note: str, files: list[dict[str, Any]]
) -> None:
    content = Content(text, subject, html)
    files = [{**file, "content": base64(file["content"])} for file in files]
    fields: dict[str, Any] = {
        "cc": ["bob@example.org", "eve@example.net"],
        "reply_to": "desk@tidings.example",
        "headers": {"X-Note": note},
        "attachments": files,
    }
    sending = request(content, **fields)
    notification = sending.notification
    assert isinstance(notification, EmailNotification)

    payload = compose(sending, SENDER, NOW)[0].payload

    expected = _told(_by_the_library(notification, content), HEADERS)
    assert _told(read(payload), HEADERS) == expected
    assert_well_formed(payload)


def _by_the_library(notification: EmailNotification, content: Content) -> EmailMessage:
    """The same mail, made with nothing but the standard library, and read back."""
    made = EmailMessage(policy=email.policy.SMTP)
    made["From"] = "Tidings <no-reply@tidings.example>"
    made["To"] = notification.recipient
    if notification.cc:
        made["Cc"] = ", ".join(notification.cc)
    if notification.reply_to:
        made["Reply-To"] = notification.reply_to
    made["Subject"] = content.subject.strip(" \t")
    for name, value in notification.headers.items():
        made[name] = value.strip(" \t")
    if content.text or not content.html:
        made.set_content(content.text, cte="base64")
    if content.html:
        add = made.add_alternative if content.text else made.set_content
        add(content.html, subtype="html", cte="base64")
        _show_inside(made, notification.attachments)
    for file in notification.attachments:
        if not (content.html and file.content_id):
            _attach(made, file)
    return read(made.as_bytes())


def _show_inside(made: EmailMessage, files: tuple[Attachment, ...]) -> None:
    html = next(part for part in made.walk() if part.get_content_type() == "text/html")
    assert isinstance(html, EmailMessage)
    for file in files:
        if file.content_id:
            kind, _, subkind = file.content_type.partition("/")
            html.add_related(
                file.content,
                maintype=kind,
                subtype=subkind,
                cid=f"<{file.content_id}>",
                filename=file.filename,
                disposition="inline",
            )


def _attach(made: EmailMessage, file: Attachment) -> None:
    kind, _, subkind = file.content_type.partition("/")
    cid = f"<{file.content_id}>" if file.content_id else None
    made.add_attachment(
        file.content, maintype=kind, subtype=subkind, filename=file.filename, cid=cid
    )


def _told(message: EmailMessage, names: tuple[str, ...]) -> dict[str, Any]:
    return {"headers": {name: message[name] for name in names}, "parts": list(_parts(message))}


def _parts(message: EmailMessage) -> Iterator[tuple[Any, ...]]:
    for part in message.walk():
        assert isinstance(part, EmailMessage)
        content = None if part.is_multipart() else part.get_content()
        if isinstance(content, str):
            content = content.replace("\r\n", "\n")
        yield (
            part.get_content_type(),
            part.get_content_charset(),
            part.get_content_disposition(),
            part.get_filename(),
            part["Content-ID"],
            content,
        )
