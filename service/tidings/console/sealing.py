"""Seals what names a person, for addresses of pages: histories, proxies and logs keep those, and only the same session opens it."""

import hmac
from hashlib import sha256
from typing import Final

from tidings.console.visitors import Visitor
from tidings.runtime.sealing import decrypted, encrypted

MARK: Final = "~"
"""How a sealed value begins."""


def sealed(visitor: Visitor, text: str, purpose: str) -> str:
    """A text as only pages of this session read it; other characters each time.

    Args:
        visitor: Whose session it is.
        text: What is sealed.
        purpose: Where it is read: what one page masks must not be shown by another to which its value is taken.
    """
    return MARK + encrypted(_key(visitor), text, purpose)


def opened(visitor: Visitor, value: str, purpose: str) -> str | None:
    """The text of a value sealed for a purpose; None if another session sealed it, it was for another, or nobody did."""
    if not value.startswith(MARK):
        return None
    return decrypted(_key(visitor), value.removeprefix(MARK), purpose)


def _key(visitor: Visitor) -> bytes:
    return hmac.new(visitor.csrf.encode(), b"addresses of pages", sha256).digest()
