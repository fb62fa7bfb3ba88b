"""What a relay said is kept for operators, without whom the mail was for and what it said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.channels.email.redaction import LONGEST, redact
from tidings.delivery.ports import Content

CONTENT = Content(
    text="Dear Wilhelmina, your code is 730914. Reply to this mail.",
    subject="Sign in",
    html="<p>Dear <b>Wilhelmina</b>, your code is <i>730914</i>.</p>",
)


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("User unknown", "User unknown"),
        ("<anna.a@example.org>: User unknown", "<(address)>: User unknown"),
        ("no mailbox anna.a here", "no mailbox (address) here"),
        ("spam: Dear Wilhelmina, your code is 730914.", "spam: …."),
        ("spam word Wilhelmina", "spam word …"),
        ("looks like an OTP: 730914", "looks like an OTP: …"),
        ("blocked using zen.spamhaus.org", "blocked using zen.spamhaus.org"),
        ("your message\nis\ttoo long\x07", "your message is too long"),
        ("ANNA.A@EXAMPLE.ORG is full", "(address) is full"),
    ],
)
def test_a_reply_is_recorded_without(text: str, redacted: str) -> None:
    assert redact(text, ["anna.a@example.org"], CONTENT) == redacted


def test_a_reply_is_told_in_few_words() -> None:
    assert len(redact("x " * 5000, [], CONTENT)) <= LONGEST


def test_a_reply_about_a_mail_too_long_to_search_is_not_told() -> None:
    assert redact("spam: secret", [], Content(text="secret " * 50_000)) == ""


@given(st.text(), st.emails())
def test_no_address_comes_through(text: str, address: str) -> None:
    assert address not in redact(f"{text} {address} {text}", [address], CONTENT)
