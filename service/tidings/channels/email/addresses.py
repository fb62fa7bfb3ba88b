"""Addresses as mail servers take them: domains in ASCII, so that only a few need SMTPUTF8."""

import re
from dataclasses import dataclass
from email.utils import parseaddr

import idna

from tidings.delivery.errors import ConfigurationError, Rejected

# Beyond these an address would end early on the command line, or start a parameter of its own.
_UNSAFE = re.compile(r"[\x00-\x20\x7f<>]")


@dataclass(frozen=True, slots=True)
class Mailbox:
    """Who a mail is from: an address with its domain in ASCII, and a name to show."""

    address: str
    name: str = ""

    @property
    def domain(self) -> str:
        """What follows the @."""
        return self.address.rpartition("@")[2]


def on_the_wire(address: str) -> str:
    """The address with an internationalised domain as A-labels (RFC 5891), which every server takes.

    Dots where none may be, as in `name.@ezweb.ne.jp`, are put into quotes (RFC 5321 §4.1.2). A local
    part beyond ASCII stays as it is: it has no other spelling, and takes SMTPUTF8 (RFC 6531).

    Raises:
        ValueError: It can't be written on an SMTP command line.
    """
    if _UNSAFE.search(address):
        raise ValueError("an address has a space, a bracket or a control character in it")
    local, at, domain = address.rpartition("@")
    if not (local and at and domain):
        raise ValueError("an address has no @ with something on both sides")
    if ".." in local or local[0] == "." or local[-1] == ".":
        local = f'"{local}"'
    if domain.isascii():
        return f"{local}@{domain}"
    try:
        return f"{local}@{idna.encode(domain, uts46=True).decode('ascii')}"
    except idna.IDNAError:
        raise ValueError("an address has a domain that can't exist") from None


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
        ConfigurationError: It is missing, or no address.
    """
    if not setting.strip():
        raise ConfigurationError(
            "TIDINGS_EMAIL_SENDER is not set; set it to the From address, "
            "e.g. Example <no-reply@example.com>"
        )
    name, address = parseaddr(setting.strip())
    if not setting.isprintable():
        raise _no_sender("it has a control character in it")
    try:
        return Mailbox(on_the_wire(address), name)
    except ValueError as invalid:
        raise _no_sender(str(invalid)) from None


def _no_sender(why: str) -> ConfigurationError:
    return ConfigurationError(
        f"TIDINGS_EMAIL_SENDER is not an address ({why}); "
        "write it like Example <no-reply@example.com>"
    )
