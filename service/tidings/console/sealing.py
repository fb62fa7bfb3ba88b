"""Seals what names a person, for addresses of pages: histories, proxies and logs keep those, and only the same session opens it."""

import base64
import binascii
import hmac
import os
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tidings.console.visitors import Visitor

MARK: Final = "~"
"""How a sealed value begins."""
NONCE: Final = 12
"""Bytes (NIST SP 800-38D, 8.2)."""


def sealed(visitor: Visitor, text: str, purpose: str) -> str:
    """A text as only pages of this session read it; other characters each time.

    Args:
        visitor: Whose session it is.
        text: What is sealed.
        purpose: Where it is read: what one page masks must not be shown by another to which its value is taken.
    """
    nonce = os.urandom(NONCE)
    whole = nonce + _cipher(visitor).encrypt(nonce, text.encode(), purpose.encode())
    return MARK + base64.urlsafe_b64encode(whole).rstrip(b"=").decode()


def opened(visitor: Visitor, value: str, purpose: str) -> str | None:
    """The text of a value sealed for a purpose; None if another session sealed it, it was for another, or nobody did."""
    if not value.startswith(MARK):
        return None
    text = value.removeprefix(MARK)
    try:
        whole = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        return _cipher(visitor).decrypt(whole[:NONCE], whole[NONCE:], purpose.encode()).decode()
    except (binascii.Error, InvalidTag, ValueError):
        return None


def _cipher(visitor: Visitor) -> AESGCM:
    return AESGCM(hmac.new(visitor.csrf.encode(), b"addresses of pages", sha256).digest())
