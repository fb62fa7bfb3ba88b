"""The form of an API key: `tk_live_` or `tk_test_`, 32 random characters, and a checksum of six."""

import hashlib
import re
import secrets
import string
import zlib
from typing import Final

ALPHABET: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
RANDOM: Final = 32
"""Characters of which eight are in the prefix; the other 24 are 142 secret bits, so a fast hash is safe."""
CHECKSUM: Final = 6
PREFIX: Final = len("tk_live_") + 8

_FORM: Final = re.compile(rf"tk_(?:live|test)_[0-9A-Za-z]{{{RANDOM + CHECKSUM}}}")


def generate(*, test: bool) -> str:
    """A new key."""
    kind = "test" if test else "live"
    key = f"tk_{kind}_{''.join(secrets.choice(ALPHABET) for _ in range(RANDOM))}"
    return key + _checksum(key)


def prefix_of_key(key: str) -> str:
    """Its beginning, by which lists and logs name it."""
    return key[:PREFIX]


def digest(key: str) -> bytes:
    """What is stored of a key."""
    return hashlib.sha256(key.encode("ascii", "replace")).digest()


def is_well_formed(key: str) -> bool:
    """Whether it can be a key: a mistyped or shortened one is told apart from a revoked one, without a look-up."""
    return _FORM.fullmatch(key) is not None and _checksum(key[:-CHECKSUM]) == key[-CHECKSUM:]


def _checksum(text: str) -> str:
    number, written = zlib.crc32(text.encode()), ""
    for _ in range(CHECKSUM):
        number, place = divmod(number, len(ALPHABET))
        written = ALPHABET[place] + written
    return written
