"""Which email addresses, phone numbers and URLs the contract takes."""

import random

import phonenumbers
import pytest

from tidings_events.notifications.addresses import (
    email_address,
    phone_number,
    web_url,
    whatsapp_number,
)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("anna@example.org", "anna@example.org"),
        ("Anna.Smith+tag@Example.ORG", "Anna.Smith+tag@example.org"),
        ("o'brien@mail.example.co.uk", "o'brien@mail.example.co.uk"),
        ("a@b.test", "a@b.test"),
        ("ops@mail.corp.local", "ops@mail.corp.local"),
        ("jörg@müller.example", "jörg@müller.example"),
        ("用户@例子.广告", "用户@例子.广告"),
        ("anna@xn--mller-kva.example", "anna@müller.example"),
        (f"{'a' * 64}@example.org", f"{'a' * 64}@example.org"),
        (f"{'ü' * 32}@example.org", f"{'ü' * 32}@example.org"),
        (f"{'a' * 64}@{('b' * 61 + '.') * 3}dee", f"{'a' * 64}@{('b' * 61 + '.') * 3}dee"),
        # Dots where RFC 5321 has none: carriers gave such addresses out, and browsers take them.
        ("try..this@docomo.ne.jp", "try..this@docomo.ne.jp"),
        ("name.@ezweb.ne.jp", "name.@ezweb.ne.jp"),
        (".anna@example.org", ".anna@example.org"),
        # Quotes that say nothing.
        ('"try..this"@docomo.ne.jp', "try..this@docomo.ne.jp"),
        ('"quoted"@Example.com', "quoted@example.com"),
    ],
)
def test_an_address_is_kept_with_its_domain_in_lower_case(written: str, kept: str) -> None:
    assert email_address(written) == kept


@pytest.mark.parametrize(
    "address",
    [
        "", "anna", "anna@", "@example.org", "a b@example.org", "anna@example", "anna@localhost",
        "Anna <anna@example.org>", "anna@example.org\n", "anna@example.org\r\nBcc: eve@example.org",
        "a@b@example.org", "..@example.org", "anna@-example.org",
        "anna@exa_mple.org", "anna@[127.0.0.1]", "anna@[IPv6:2001:db8::1]", "anna@example..org",
        '"anna smith"@example.org', '"a@b"@example.org', '""@example.org', '"anna@example.org',
        f"a@{'b' * 250}.org", "anna@example.org,eve@example.org",
        "anna@example.org\0", "anna@xn--a.example",
    ],
)  # fmt: skip
def test_what_is_not_an_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match=r"is not an email address|has a domain without a dot"):
        email_address(address)


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("user@192.168.0.1", "ends in a number"),
        ("test@255.255.255.255", "ends in a number"),
        ("user@example.123", "ends in a number"),
        ('"user"@example.123', "ends in a number"),
        (f"{'x' * 65}@example.com", "more than 64 octets"),
        (f"{'ü' * 33}@example.com", "more than 64 octets"),
        (f"{'a' * 64}@{('b' * 61 + '.') * 3}deee", "longer than 254 octets"),
        (f"{'a' * 64}@{('b' * 61 + '.') * 3}müller", "longer than 254 octets"),
    ],
)
def test_what_no_mail_server_can_deliver_to_is_refused(address: str, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        email_address(address)


@pytest.mark.parametrize(
    "number", ["+14155550123", "+447911123456", "+390612345678", "+5511987654321", "+919876543210"]
)
def test_a_number_in_its_countrys_plan_is_kept(number: str) -> None:
    assert phone_number(number) == number


@pytest.mark.parametrize(
    "number",
    [
        "", "+", "+1555", "14155550123", "+1 415 555 0123", "+1-415-555-0123", "0014155550123",
        "+15551234567", "+4407911123456", "+9991234567", "+1415555012345678", "+1415555012٣",
        "+14155550123\n", "tel:+14155550123", "+0123456789",
    ],
)  # fmt: skip
def test_a_number_nobody_can_have_is_refused(number: str) -> None:
    with pytest.raises(ValueError, match=r"write it as E\.164, e\.g\. \+14155550123"):
        phone_number(number)


@pytest.mark.parametrize(
    "number",
    ["+5215512345678", "+551187654321", "+22507123456", "+22997123456", "+14155550123"],
)
def test_a_number_that_whatsapp_reports_from_an_older_plan_is_kept(number: str) -> None:
    assert whatsapp_number(number) == number


@pytest.mark.parametrize(
    "number", ["+5215512345678", "+551187654321", "+22507123456", "+22997123456"]
)
def test_such_a_number_takes_no_text_message(number: str) -> None:
    with pytest.raises(ValueError, match="is not a valid phone number"):
        phone_number(number)


@pytest.mark.parametrize(
    "number",
    ["+5211234567890", "+521551234567", "+550087654321", "+22597123456789", "+15551234567", "x"],
)
def test_a_number_of_no_plan_is_no_whatsapp_number(number: str) -> None:
    with pytest.raises(ValueError, match="is not a valid phone number"):
        whatsapp_number(number)


def test_the_shortcut_past_the_librarys_parser_judges_as_the_library_does() -> None:
    digits = random.Random(7)
    countries = sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE)
    for _ in range(3000):
        length = digits.randint(5, 11)
        number = f"+{digits.choice(countries)}{digits.randrange(10**length):0{length}}"
        assert _taken(number) == _taken_by_the_library(number), number


def _taken(number: str) -> bool:
    try:
        return phone_number(number) == number
    except ValueError:
        return False


def _taken_by_the_library(number: str) -> bool:
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return False
    written = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    return phonenumbers.is_valid_number(parsed) and written == number


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org",
        "HTTPS://Example.org/hooks?token=a@b",
        "http://127.0.0.1:8080/",
        "http://[::1]:8080/x",
        "https://xn--mller-kva.example/%C3%BC",
        "https://example.org:65535?x",
    ],
)
def test_an_absolute_http_url_is_kept_as_written(url: str) -> None:
    assert web_url(url) == url


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("https://user@example.org/", "credentials"),
        ("https://user:secret@example.org/", "credentials"),
        ("https://example.org/#top", "fragment"),
        ("ftp://example.org/", "is not an http"),
        ("//example.org/", "is not an http"),
        ("https://", "is not an http"),
        ("https:///x", "is not an http"),
        ("https://example.org:0/", "is not an http"),
        ("https://example.org:65536/", "is not an http"),
        ("https://example.org:port/", "is not an http"),
        ("https://exa mple.org/", "is not an http"),
        ("https://example.org/a b", "is not an http"),
        ("https://example.org/\r\nX: y", "is not an http"),
        ("https://example.org\\.evil.example/", "is not an http"),
        ("https://müller.example/", "is not an http"),
        ("https://İexample.org/", "is not an http"),
        ("https://ſafe.example/", "is not an http"),
        ("httpſ://example.org/", "is not an http"),
        ("https://[::1", "is not an http"),
        ("https://example.org/\n", "is not an http"),
    ],
)
def test_any_other_url_is_refused(url: str, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        web_url(url)
