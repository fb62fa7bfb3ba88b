"""Addresses are written as relays take them, and the sender's setting is read once."""

import pytest

from tidings.channels.email.addresses import Mailbox, on_the_wire, sender
from tidings.delivery.errors import ConfigurationError


@pytest.mark.parametrize(
    ("address", "written"),
    [
        ("anna@example.org", "anna@example.org"),
        ("Anna@EXAMPLE.org", "Anna@EXAMPLE.org"),
        ("anna@straße.example", "anna@xn--strae-oqa.example"),
        ("jürgen@bücher.example", "jürgen@xn--bcher-kva.example"),
        ("tidings@localhost", "tidings@localhost"),
        ("try..this@docomo.ne.jp", '"try..this"@docomo.ne.jp'),
        ("name.@ezweb.ne.jp", '"name."@ezweb.ne.jp'),
        (".jürgen@bücher.example", '".jürgen"@xn--bcher-kva.example'),
        ('"quoted"@example.org', '"quoted"@example.org'),
    ],
)
def test_a_domain_is_written_in_ascii_and_a_local_part_kept(address: str, written: str) -> None:
    assert on_the_wire(address) == written


@pytest.mark.parametrize(
    "address",
    ["", "anna", "@example.org", "anna@", "a b@c.example", "a>@c.example", "a@b\r\nRSET", "a@-.ü"],
)
def test_what_would_break_the_command_line_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match=r"an address (has|contains)"):
        on_the_wire(address)


@pytest.mark.parametrize(
    ("setting", "mailbox"),
    [
        ("no-reply@example.com", Mailbox("no-reply@example.com")),
        ("Example <no-reply@example.com>", Mailbox("no-reply@example.com", "Example")),
        ('"Smith, Anna" <a@bücher.example>', Mailbox("a@xn--bcher-kva.example", "Smith, Anna")),
    ],
)
def test_the_sender_is_an_address_with_or_without_a_name(setting: str, mailbox: Mailbox) -> None:
    assert sender(setting) == mailbox


@pytest.mark.parametrize("setting", ["", "  ", "Example", "Example <>", "a@b.example\r\nBcc: c"])
def test_a_sender_that_is_none_is_told_by_its_variable(setting: str) -> None:
    with pytest.raises(ConfigurationError, match="TIDINGS_EMAIL_SENDER"):
        sender(setting)
