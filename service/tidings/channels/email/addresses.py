"""Addresses as mail servers accept them: domains in ASCII, so that only a few need SMTPUTF8."""

import re
from dataclasses import dataclass
from email.utils import parseaddr

import idna

from tidings.delivery.errors import ConfigurationError, Rejected

# One of these would end the address early on the command line, or start a parameter of its own.
_UNSAFE = re.compile(r"[\x00-\x20\x7f<>]")


@dataclass(frozen=True, slots=True)
class Mailbox:
    """The sender of a mail: an address with its domain in ASCII, and a display name."""

    address: str
    name: str = ""

    @property
    def domain(self) -> str:
        """The part after the @."""
        return self.address.rpartition("@")[2]


def on_the_wire(address: str) -> str:
    """The address with an internationalised domain as A-labels (RFC 5891), which every server accepts.

    A local part with misplaced dots, as in `name.@ezweb.ne.jp`, is quoted (RFC 5321 §4.1.2). A non-ASCII
    local part is unchanged: it has no other spelling, and needs SMTPUTF8 (RFC 6531).

    Raises:
        ValueError: It can't be written on an SMTP command line.
    """
    if _UNSAFE.search(address):
        raise ValueError("an address contains a space, a bracket or a control character")
    local, at, domain = address.rpartition("@")
    if not (local and at and domain):
        raise ValueError("an address has no @ with text on both sides")
    if ".." in local or local[0] == "." or local[-1] == ".":
        local = f'"{local}"'
    if domain.isascii():
        return f"{local}@{domain}"
    try:
        return f"{local}@{idna.encode(domain, uts46=True).decode('ascii')}"
    except idna.IDNAError:
        raise ValueError("an address has an invalid domain") from None


def deliverable(address: str) -> str:
    """`on_the_wire` for an address of a notification.

    Raises:
        Rejected: It can't be written on an SMTP command line.
    """
    try:
        return on_the_wire(address)
    except ValueError as invalid:
        raise Rejected(f"{invalid}; correct it and publish again") from None


def sender(setting: str) -> Mailbox:
    """The configured sender, e.g. `Example <no-reply@example.com>`.

    Raises:
        ConfigurationError: It is missing or not an address.
    """
    if not setting.strip():
        raise ConfigurationError(
            "TIDINGS_EMAIL_SENDER is not set; set it to the From address, "
            "e.g. Example <no-reply@example.com>"
        )
    name, address = parseaddr(setting.strip())
    if not setting.isprintable():
        raise _no_sender("it contains a control character")
    try:
        return Mailbox(on_the_wire(address), name)
    except ValueError as invalid:
        raise _no_sender(str(invalid)) from None


def _no_sender(why: str) -> ConfigurationError:
    return ConfigurationError(
        f"TIDINGS_EMAIL_SENDER is not an address ({why}); "
        "write it like Example <no-reply@example.com>"
    )
