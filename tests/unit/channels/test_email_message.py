"""What is made of a notification: parts, addresses, dates and names; and what no mail is made of."""

import re
from collections.abc import Mapping
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import parseaddr
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.unit.channels.email_requests import (
    NOW,
    SENDER,
    assert_well_formed,
    base64,
    mail,
    read,
    request,
    words,
)

from tidings.channels.email.addresses import Mailbox
from tidings.channels.email.message import compose
from tidings.delivery.errors import Rejected
from tidings.delivery.ports import Content


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n")))
@example("=?utf-8?q?literal?= =?x")
@example("=?x?B?two words?=")
@example("why=?because=? and =?so?on")
@example("tab\there, a bell\a, \x85 and \u2028")
@example("ends in a space of its own kind\xa0")
def test_any_subject_is_read_as_it_was_written(subject: str) -> None:
    payload = mail(Content("text", subject)).payload

    assert read(payload)["Subject"] == subject.strip(" \t")
    assert_well_formed(payload)


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=120))
@example('Anna "the Ace" O\'Hara, (Tidings)')
@example("back\\slash")
@example("Ärger & Söhne " * 20)
def test_any_name_of_the_sender_is_read_as_it_was_written(name: str) -> None:
    payload = mail(Content("text", "s"), Mailbox("no-reply@tidings.example", name.strip())).payload

    # Not by the library's structured parser: it puts spaces between encoded words of a phrase.
    phrase, address = parseaddr(str(message_from_bytes(payload)["From"]))
    assert address == "no-reply@tidings.example"
    assert str(make_header(decode_header(phrase))) == name.strip()
    assert_well_formed(payload)


@pytest.mark.parametrize("text", ["From the start\n.\n..\nx ", "a" * 899, "line\r\nline\rline\n"])
def test_ascii_text_travels_as_it_is(text: str) -> None:
    payload = mail(Content(text, "s")).payload

    assert b"Content-Transfer-Encoding: 7bit\r\n" in payload
    assert payload.partition(b"\r\n\r\n")[2].decode().splitlines() == text.splitlines()


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("a" * 900, b"quoted-printable"),
        ("mostly plain, one é", b"quoted-printable"),
        ("日本語のお知らせ", b"base64"),
    ],
)
def test_other_text_is_encoded_in_whichever_way_is_shorter(text: str, encoding: bytes) -> None:
    payload = mail(Content(text, "s")).payload

    assert b"Content-Transfer-Encoding: " + encoding in payload
    assert words(read(payload)) == f"{text}\n"


def test_text_that_holds_the_boundary_ends_no_part() -> None:
    identity = uuid4()
    text = f"--=_{identity.hex}_a--\n--=_{identity.hex}_m"
    sending = request(Content(text, "s", "<p>"), id=str(identity))

    message = read(compose(sending, SENDER, NOW)[0].payload)

    plain, html = message.iter_parts()
    assert isinstance(plain, EmailMessage)
    assert isinstance(html, EmailMessage)
    assert (words(plain), words(html)) == (f"{text}\n", "<p>\n")


def test_html_alone_makes_no_empty_text() -> None:
    message = read(mail(Content("", "s", "<p>hello")).payload)

    assert message.get_content_type() == "text/html"


def test_images_and_files_are_nested_around_both_texts() -> None:
    image = {"filename": "l.png", "content_type": "image/png", "content": "aGk=", "content_id": "l"}
    file = {"filename": "Rechnung März.pdf", "content": "aGk="}
    content = Content("text", "s", '<img src="cid:l">')

    message = read(mail(content, attachments=[image, file]).payload)

    assert [part.get_content_type() for part in message.walk()] == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "multipart/related",
        "text/html",
        "image/png",
        "application/octet-stream",
    ]
    assert [part.get_filename() for part in message.iter_attachments()] == ["Rechnung März.pdf"]


def test_an_image_without_html_to_show_it_is_attached() -> None:
    image = {"filename": "l.png", "content_type": "image/png", "content": "aGk=", "content_id": "l"}

    message = read(mail(Content("text", "s"), attachments=[image]).payload)

    assert [part.get_content_disposition() for part in message.walk()] == [None, None, "attachment"]


def test_blind_copies_are_on_the_envelope_and_nowhere_else() -> None:
    made = mail(Content("text", "s"), cc=["bob@example.org"], bcc=["eve@example.net"])

    assert made.envelope.copies == ("bob@example.org", "eve@example.net")
    assert b"eve" not in made.payload
    assert b"Cc: bob@example.org\r\n" in made.payload


def test_nobody_is_sent_a_mail_twice() -> None:
    made = mail(
        Content("text", "s"),
        cc=["anna@example.org", "bob@example.org"],
        bcc=["bob@example.org"],
    )

    assert (made.envelope.recipient, made.envelope.copies) == (
        "anna@example.org",
        ("bob@example.org",),
    )


def test_the_message_id_stays_the_same_for_a_retry_and_changes_for_a_replay() -> None:
    identity = str(uuid4())

    def named(**where: int) -> str:
        sending = request(Content("text", "s"), id=identity, **where)
        return str(read(compose(sending, SENDER, NOW)[0].payload)["Message-ID"])

    assert named(number=1) == named(number=2) == f"<{identity}.0@tidings.example>"
    assert named(epoch=1) == f"<{identity}.1@tidings.example>"


def test_the_same_attempt_at_the_same_time_makes_the_same_bytes() -> None:
    sending = request(Content("text", "s", "<p>é"))

    assert compose(sending, SENDER, NOW) == compose(sending, SENDER, NOW)


def test_the_date_is_that_of_this_attempt() -> None:
    assert b"\r\nDate: Sun, 22 Nov 2026 17:40:05 +0000\r\n" in mail(Content("t", "s")).payload


def test_autoresponders_are_asked_not_to_answer_unless_the_producer_says_otherwise() -> None:
    own = {"auto-submitted": "no"}

    assert read(mail(Content("t", "s")).payload)["Auto-Submitted"] == "auto-generated"
    assert read(mail(Content("t", "s"), headers=own).payload).get_all("Auto-Submitted") == ["no"]


def test_an_international_domain_is_written_in_ascii() -> None:
    made = mail(Content("t", "s"), recipient="anna@faß.example", cc=["bob@例え.example"])

    assert made.envelope.recipient == "anna@xn--fa-hia.example"
    assert not made.envelope.international
    assert made.payload.isascii()


@pytest.mark.parametrize("field", ["recipient", "from_address"])
def test_a_local_part_beyond_ascii_takes_smtputf8(field: str) -> None:
    fields: dict[str, Any] = {field: "jürgen@example.org"}

    made = mail(Content("t", "s"), **fields)

    assert made.envelope.international
    assert "jürgen@example.org".encode() in made.payload


@pytest.mark.parametrize("times", [1, 9])
def test_a_reply_to_beyond_ascii_takes_no_smtputf8_and_is_shown_as_a_name(times: int) -> None:
    address = f"{'jürgen' * times}@example.org"

    made = mail(Content("t", "s"), reply_to=address)

    assert not made.envelope.international
    assert_well_formed(made.payload)
    [group] = read(made.payload)["Reply-To"].groups
    assert group.addresses == ()
    lines = header_lines(made.payload, "Reply-To")
    assert max(map(len, lines)) <= 78
    [field] = re.findall("^Reply-To: (.*) :;$", "".join(lines))
    assert str(make_header(decode_header(field))) == address


def test_a_reply_to_beyond_ascii_stands_as_it_is_where_the_mail_takes_smtputf8_anyway() -> None:
    made = mail(
        Content("t", "s"), recipient="jürgen@example.org", reply_to="δοκιμή@παράδειγμα.example"
    )

    assert made.envelope.international
    assert "Reply-To: δοκιμή@xn--hxajbheg2az3al.example\r\n".encode() in made.payload


UNSUBSCRIBE = (
    "<https://example.com/u/dG9rZW4=?list=news>, <mailto:u@example.com?subject=dG9rZW4=?=>"
)


def header_lines(payload: bytes, name: str) -> list[str]:
    """The lines of a header as they travel."""
    head = payload.partition(b"\r\n\r\n")[0].decode().replace("\r\n", "\n")
    [field] = re.findall(rf"^{name}:.*(?:\n[ \t].*)*", head, re.MULTILINE)
    return str(field).split("\n")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("List-Unsubscribe", UNSUBSCRIBE),
        ("List-Unsubscribe", f"<https://example.com/u?{'x' * 931}>"),
        ("List-Unsubscribe", f"<https://example.com/u?{'x' * 973}>"),
        ("List-Unsubscribe", "<https://example.com/=?utf-8?q?whole?=>"),
        ("list-id", "=?utf-8?q?Gr=C3=BC=C3=9Fe?= <news.example.com>"),
        ("References", " ".join(f"<{number}@example.com>" for number in range(50))),
        ("In-Reply-To", "<=?utf-8?q?1?=@example.com>"),
        ("Feedback-ID", "spring:=?:shop:example"),
        ("X-Query", "a=?b=?c"),
    ],
)
def test_a_header_that_programs_read_arrives_as_it_was_published(name: str, value: str) -> None:
    payload = mail(Content("t", "s"), headers={name: value}).payload

    lines = header_lines(payload, name)
    assert "".join(lines) == f"{name}: {value}"
    assert max(map(len, lines)) <= 998


def test_a_long_word_gets_a_line_of_its_own_before_a_server_breaks_it() -> None:
    value = f"<https://example.com/u?{'x' * 940}>"

    lines = header_lines(
        mail(Content("t", "s"), headers={"List-Unsubscribe": value}).payload, "List-Unsubscribe"
    )

    assert lines == ["List-Unsubscribe:", f" {value}"]


@pytest.mark.parametrize("length", [899, 900, 989, 998])
def test_a_long_word_for_people_never_makes_a_line_that_a_server_breaks(length: int) -> None:
    payload = mail(Content("t", "s"), headers={"X-Note": "x" * length}).payload

    assert max(map(len, payload.split(b"\r\n"))) < 960
    assert read(payload)["X-Note"] == "x" * length


@pytest.mark.parametrize(
    ("headers", "text"),
    [
        ({"List-Unsubscribe": "<https://example.com/ü>"}, "List-Unsubscribe is machine-readable"),
        ({"Feedback-ID": "a\tb"}, "Feedback-ID is machine-readable"),
        ({"References": "x" * 998}, "References contains a word of more than 997 characters"),
    ],
)
def test_a_header_that_would_have_to_be_encoded_and_must_not_is_refused(
    headers: dict[str, str], text: str
) -> None:
    sending = request(Content("t", "s"))
    past_the_contract = sending.notification.model_copy(update={"headers": headers})
    object.__setattr__(sending.attempt, "notification", past_the_contract)

    with pytest.raises(Rejected, match=text):
        compose(sending, SENDER, NOW)


@pytest.mark.parametrize("subject", ["a\r\nBcc: eve@example.net", "a\nb", "a\rb"])
def test_a_line_break_in_a_subject_is_refused_and_not_repeated(subject: str) -> None:
    with pytest.raises(Rejected, match="Subject contains a line break") as caught:
        mail(Content("t", subject))

    assert "eve" not in str(caught.value)


@pytest.mark.parametrize(
    "headers", [{"X-Note": "a\r\nBcc: eve@example.net"}, {"X-Note\r\nBcc": "eve@example.net"}]
)
def test_an_injected_header_that_came_past_the_contract_is_refused(
    headers: Mapping[str, str],
) -> None:
    sending = request(Content("t", "s"))
    forged = sending.notification.model_copy(update={"headers": headers})
    attempt = sending.attempt
    object.__setattr__(attempt, "notification", forged)

    with pytest.raises(Rejected):
        compose(sending, SENDER, NOW)


def test_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(Rejected, match="surrogate"):
        mail(Content("\ud83d", "s"))


def test_an_attachment_of_megabytes_arrives_whole() -> None:
    content = bytes(range(256)) * 12_000

    message = read(
        mail(Content("t", "s"), attachments=[{"filename": "f", "content": base64(content)}]).payload
    )

    assert next(message.iter_attachments()).get_content() == content
