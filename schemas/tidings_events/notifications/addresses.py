"""Email addresses, phone numbers and URLs of recipients, validated without I/O."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field, StringConstraints

if TYPE_CHECKING:
    import phonenumbers
    from email_validator import ValidatedEmail

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_PLAIN_EMAIL = re.compile(rf"({_ATOM}(?:\.{_ATOM})*)@((?:{_LABEL}\.)+[A-Za-z]{{2,63}})")
# Browsers take dots anywhere (https://html.spec.whatwg.org/#valid-e-mail-address): Japanese carriers have
# issued try..this@ and name.@ addresses that are still in use. The same in quotes is equivalent
# (RFC 5321 §4.1.2).
_DOTTED = re.compile(r"""\.*[A-Za-z0-9!#$%&'*+/=?^_`{|}~-][A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]*""")
_QUOTED = re.compile(rf'"({_DOTTED.pattern})"')
_LONGEST_EMAIL = 254
_LONGEST_LOCAL_PART = 64
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_RENUMBERED = (
    (re.compile(r"(\+52)1([0-9]{10})"), ("",)),  # Mexico, 2019: no 1 before mobile numbers
    (re.compile(r"(\+55[1-9][0-9])([6-9][0-9]{7})"), ("9",)),  # Brazil, 2012 to 2016: a ninth digit
    (re.compile(r"(\+225)([0-9]{8})"), ("01", "05", "07")),  # Côte d'Ivoire, 2021: ten, by operator
    (re.compile(r"(\+229)([0-9]{8})"), ("01",)),  # Benin, 2024: ten
)
"""Mobile numbers of older plans: the parts that stay, and the digits inserted between them."""
# The authority is spelled out because URL parsers disagree about the odd ones, and an address
# that two parsers read differently can pass a check and lead elsewhere.
_URL = re.compile(
    r"https?://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?(?:[/?][!-~]*)?",
    re.IGNORECASE | re.ASCII,  # else İ and ı match in a host, as other cases of i
)
_CREDENTIALS = re.compile(r"[A-Za-z]+://[^/?#]*@")


def email_address(value: str) -> str:
    """The address with its domain in lower case. Raises ValueError with the fault.

    Nearly every address takes the first branch (2 µs); the library (50 µs) handles international
    addresses, and finds the fault of an invalid one.
    """
    plain = _PLAIN_EMAIL.fullmatch(value)
    if plain and len(value) <= _LONGEST_EMAIL and len(plain[1]) <= _LONGEST_LOCAL_PART:
        domain = plain[2]
        if "xn--" not in domain.lower():
            return value if domain.islower() else f"{plain[1]}@{domain.lower()}"
    return _unusual_email_address(value)


def _unusual_email_address(value: str) -> str:
    local, _, domain = value.rpartition("@")
    quoted = _QUOTED.fullmatch(local)
    dotted = quoted[1] if quoted else local
    if _DOTTED.fullmatch(dotted):
        # The library refuses most dots: use it for the domain only.
        checked, local = _validated(f"x@{domain}"), dotted
    else:
        checked = _validated(value)
        local = checked.local_part
    if "." not in checked.domain:
        raise ValueError("has a domain without a dot; write the full domain, e.g. anna@example.org")
    if checked.domain.rpartition(".")[2].isdigit():
        # No top-level domain is all digits (RFC 3696 §2): it is an IP address, or a slip.
        raise ValueError(
            "has a domain that ends in a number; write its name, e.g. anna@example.org"
        )
    if len(local.encode()) > _LONGEST_LOCAL_PART:
        raise ValueError(f"has more than {_LONGEST_LOCAL_PART} octets before the @; correct it")
    if len(local.encode()) + 1 + len(checked.ascii_domain) > _LONGEST_EMAIL:
        raise ValueError(f"is longer than {_LONGEST_EMAIL} octets; correct it")
    return f"{local}@{checked.domain}"


def _validated(value: str) -> "ValidatedEmail":
    from email_validator import EmailNotValidError, validate_email

    try:
        # Special-use domains (.test, .local) may exist on a private mail server.
        return validate_email(value, check_deliverability=False, globally_deliverable=False)
    except EmailNotValidError as error:
        reason = str(error).rstrip(".")
        raise ValueError(
            f"is not an email address ({reason}); write only the address, e.g. anna@example.org"
        ) from None


def phone_number(value: str) -> str:
    """A number that exists in its country's numbering plan. Raises ValueError if it does not."""
    if not _E164.fullmatch(value) or not _in_numbering_plan(value):
        raise ValueError("is not a valid phone number; write it as E.164, e.g. +14155550123")
    return value


def whatsapp_number(value: str) -> str:
    """A number as in `phone_number`, or as WhatsApp reports it. Raises ValueError if it is neither.

    WhatsApp keeps and reports the number at sign-up, even after a country has changed its plan.
    """
    if _E164.fullmatch(value) and any(map(_in_numbering_plan, _in_todays_plan(value))):
        return value
    return phone_number(value)


def _in_todays_plan(number: str) -> Iterator[str]:
    """The possible current forms of a number of an older plan."""
    for old, prefixes in _RENUMBERED:
        if renumbered := old.fullmatch(number):
            yield from (f"{renumbered[1]}{prefix}{renumbered[2]}" for prefix in prefixes)


def _in_numbering_plan(number: str) -> bool:
    # E.164 numbers need no phonenumbers.parse, which mostly guesses, and is slow.
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
    """An absolute http(s) URL, kept as written. Raises ValueError with the fault."""
    if _CREDENTIALS.match(value):
        raise ValueError("has credentials in it; remove them, requests are signed instead")
    if "#" in value:
        raise ValueError("has a fragment (#…), which is never sent; remove it")
    url = _URL.fullmatch(value)
    if url is None or "\\" in value or not 0 < int(url["port"] or 80) <= 65535:
        raise ValueError("is not an http(s) URL; write it like https://example.org/hooks")
    return value


# The library has tables of allowed letters; here any non-ASCII character is accepted.
_LOCAL_IN_SCHEMA = '[^\0- "(),:;<>@\\[\\\\\\]\x7f]{1,64}'
_ALNUM_IN_SCHEMA = "[^\0-/:-@\\[-`{-\x7f]"
_LABEL_IN_SCHEMA = f"{_ALNUM_IN_SCHEMA}([^\0-,./:-@\\[-`{{-\x7f]{{0,61}}{_ALNUM_IN_SCHEMA})?"
_EMAIL_IN_SCHEMA = {
    "pattern": f'^({_LOCAL_IN_SCHEMA}|"[A-Za-z0-9!#$%&\'*+/=?^_`{{|}}~.-]{{1,64}}")@'
    f"({_LABEL_IN_SCHEMA}[.\u3002\uff0e\uff61])+{_LABEL_IN_SCHEMA}$",
    # Not only dots before the @, and no all-digit top-level domain.
    "not": {"type": "string", "pattern": r'^"?\.+"?@|\.[0-9]+$'},
}

EmailAddress = Annotated[
    str,
    StringConstraints(max_length=256),
    AfterValidator(email_address),
    Field(
        json_schema_extra=_EMAIL_IN_SCHEMA,
        examples=["anna@example.org"],
    ),
]
PhoneNumber = Annotated[
    str,
    StringConstraints(max_length=16),
    AfterValidator(phone_number),
    Field(json_schema_extra={"pattern": r"^\+[1-9][0-9]{6,14}$"}, examples=["+14155550123"]),
]
WhatsAppNumber = Annotated[
    str,
    StringConstraints(max_length=16),
    AfterValidator(whatsapp_number),
    Field(json_schema_extra={"pattern": r"^\+[1-9][0-9]{6,14}$"}, examples=["+14155550123"]),
]
WebUrl = Annotated[
    str,
    StringConstraints(max_length=2048),
    AfterValidator(web_url),
    Field(
        json_schema_extra={
            "format": "uri",
            "pattern": r"^[hH][tT][tT][pP][sS]?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])"
            r"(:(0{0,4}[1-9]|0{0,3}[1-9][0-9]|0{0,2}[1-9][0-9]{2}|0?[1-9][0-9]{3}|[1-5][0-9]{4}"
            r"|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?"
            r'([/?][!-"$-\[\]-~]*)?$',
        },
        examples=["https://example.org/hooks/invoices"],
    ),
]
