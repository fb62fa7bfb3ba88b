"""Seals secrets that are stored: who reads the database or a backup doesn't read them without the keys of the settings."""

import base64
import binascii
import os
from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:  # imported where it is used: commands start sooner
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MARK: Final = "sealed:"
"""How a sealed secret begins; the id of its key follows, then the rest."""
BYTES: Final = 32
"""Of a key: AES-256."""
NONCE: Final = 12
"""Bytes (NIST SP 800-38D, 8.2)."""


def key_of(text: str) -> bytes:
    """A key as settings have it: 32 random bytes in Base64.

    Raises:
        ValueError: It is none; the key is not in the message.
    """
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != BYTES:
        raise ValueError(f"write {BYTES} random bytes in Base64: `openssl rand -base64 {BYTES}`")
    return key


def encrypted(key: bytes, text: str, place: str) -> str:
    """A text that only the key and the place open again, in URL-safe Base64 without padding; other characters each time."""
    nonce = os.urandom(NONCE)
    whole = nonce + _cipher(key).encrypt(nonce, text.encode(), place.encode())
    return base64.urlsafe_b64encode(whole).rstrip(b"=").decode()


def decrypted(key: bytes, text: str, place: str) -> str | None:
    """What `encrypted` was given; None if it was with another key, for another place, or it was not at all."""
    from cryptography.exceptions import InvalidTag

    try:
        whole = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        return _cipher(key).decrypt(whole[:NONCE], whole[NONCE:], place.encode()).decode()
    except (InvalidTag, ValueError):
        return None


class Seals:
    """Seals with the first key, and opens with any.

    Args:
        keys: As `key_of` reads them; none: what is stored stays readable.
    """

    def __init__(self, keys: Sequence[bytes] = ()) -> None:
        self._keys = {sha256(key).hexdigest()[:8]: key for key in keys}

    @property
    def newest(self) -> str | None:
        """Id of the key that seals; None: there is none."""
        return next(iter(self._keys), None)

    def seal(self, secret: str, place: str) -> str:
        """A secret as it is stored: as it is, if there is no key.

        Args:
            secret: It.
            place: Where it is stored; sealed for one place, it is opened at no other.
        """
        if self.newest is None or secret.startswith(MARK):
            return secret
        return f"{MARK}{self.newest}:{encrypted(self._keys[self.newest], secret, place)}"

    def open(self, stored: str, place: str) -> str:
        """A secret that was stored; still sealed if its key is not among these."""
        if not stored.startswith(MARK):
            return stored
        name, _, text = stored.removeprefix(MARK).partition(":")
        if (key := self._keys.get(name)) is None:
            return stored
        secret = decrypted(key, text, place)
        return stored if secret is None else secret

    def is_newest(self, stored: str) -> bool:
        """Whether a secret is stored as `seal` would store it now."""
        return self.newest is None or stored.startswith(f"{MARK}{self.newest}:")


def is_sealed(secret: str | None) -> bool:
    """Whether a secret could not be opened."""
    return secret is not None and secret.startswith(MARK)


def _cipher(key: bytes) -> "AESGCM":
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)
