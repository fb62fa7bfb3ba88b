"""Recipients as people write them: email addresses, phone numbers and URLs, checked without I/O."""

import re
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field, StringConstraints

if TYPE_CHECKING:
    import phonenumbers

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_PLAIN_EMAIL = re.compile(rf"({_ATOM}(?:\.{_ATOM})*)@((?:{_LABEL}\.)+[A-Za-z]{{2,63}})")
_LONGEST_EMAIL = 254
_LONGEST_LOCAL_PART = 64
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
# The authority is spelled out because URL parsers disagree about the odd ones, and an address
# that two parsers read differently is how requests get smuggled past a check.
_URL = re.compile(
    r"https?://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?(?:[/?][!-~]*)?",
    re.IGNORECASE,
)
_CREDENTIALS = re.compile(r"[A-Za-z]+://[^/?#]*@")


def email_address(value: str) -> str:
    """The address with its domain in lower case. Raises ValueError saying what is wrong.

    Nearly every address takes the first branch (2 µs); the library (50 µs) decides on the rest:
    international addresses, and what exactly is wrong with a bad one.
    """
    plain = _PLAIN_EMAIL.fullmatch(value)
    if plain and len(value) <= _LONGEST_EMAIL and len(plain[1]) <= _LONGEST_LOCAL_PART:
        domain = plain[2]
        if "xn--" not in domain.lower():
            return value if domain.islower() else f"{plain[1]}@{domain.lower()}"
    return _unusual_email_address(value)


def _unusual_email_address(value: str) -> str:
    from email_validator import EmailNotValidError, validate_email

    try:
        # Special-use domains (.test, .local) are somebody's own mail server's business.
        checked = validate_email(value, check_deliverability=False, globally_deliverable=False)
    except EmailNotValidError as error:
        said = str(error).rstrip(".")
        raise ValueError(
            f"is not an email address ({said}); write only the address, e.g. anna@example.org"
        ) from None
    if "." not in checked.domain:
        raise ValueError("has a domain without a dot; write the full domain, e.g. anna@example.org")
    return checked.normalized


def phone_number(value: str) -> str:
    """A number that exists in its country's numbering plan. Raises ValueError where it does not."""
    if not _E164.fullmatch(value) or not _in_numbering_plan(value):
        raise ValueError("is not a valid phone number; write it as E.164, e.g. +14155550123")
    return value


def _in_numbering_plan(number: str) -> bool:
    # E.164 needs none of phonenumbers.parse's guessing, which is most of its cost.
    import phonenumbers

    digits = number[1:]
    for length in (1, 2, 3):
        country = int(digits[:length])
        if country in phonenumbers.COUNTRY_CODE_TO_REGION_CODE:
            return phonenumbers.is_valid_number(_split(country, digits[length:]))
    return False


def _split(country: int, national: str) -> "phonenumbers.PhoneNumber":
    import phonenumbers

    zeros = len(national) - len(national.lstrip("0"))
    return phonenumbers.PhoneNumber(
        country_code=country,
        national_number=int(national),
        italian_leading_zero=True if zeros else None,
        number_of_leading_zeros=zeros if zeros > 1 else None,
    )


def web_url(value: str) -> str:
    """An absolute http(s) URL, kept as written. Raises ValueError saying what is wrong."""
    if _CREDENTIALS.match(value):
        raise ValueError("has credentials in it; remove them, requests are signed instead")
    if "#" in value:
        raise ValueError("has a fragment (#…), which is never sent; remove it")
    url = _URL.fullmatch(value)
    if url is None or "\\" in value or not 0 < int(url["port"] or 80) <= 65535:
        raise ValueError("is not an http(s) URL; write it like https://example.org/hooks")
    return value


EmailAddress = Annotated[
    str,
    StringConstraints(max_length=320),
    AfterValidator(email_address),
    Field(json_schema_extra={"format": "idn-email"}, examples=["anna@example.org"]),
]
PhoneNumber = Annotated[
    str,
    StringConstraints(max_length=16),
    AfterValidator(phone_number),
    Field(json_schema_extra={"pattern": r"^\+[1-9][0-9]{6,14}$"}, examples=["+14155550123"]),
]
WebUrl = Annotated[
    str,
    StringConstraints(max_length=2048),
    AfterValidator(web_url),
    Field(
        json_schema_extra={
            "format": "uri",
            "pattern": r"^[hH][tT][tT][pP][sS]?://[^/?@#\\]+([/?][^#\\]*)?$",
        },
        examples=["https://example.org/hooks/invoices"],
    ),
]
