"""`X-Request-Id`: the caller's if it sends a proper one, otherwise a new one."""

import re
from typing import Final
from uuid import uuid4

HEADER: Final = b"x-request-id"

# No quotes, spaces or control characters: it stands in log lines, in history and in a reply header.
_PROPER: Final = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")


def request_id_of(given: bytes | None) -> str:
    """The id of a request whose header is `given`."""
    if given is not None and _PROPER.fullmatch(given):
        return given.decode("ascii")
    return uuid4().hex
