"""A sign-in that has begun at the provider: what the browser keeps until it comes back."""

import base64
import json
from dataclasses import asdict, dataclass
from typing import Final
from urllib.parse import urlencode

from tidings.console.page import ROOT

CALLBACK: Final = "/sign-in/openid/callback"
"""Where the provider sends people back to, below the root."""
LASTS: Final = 600
"""Seconds within which a sign-in must be finished."""


@dataclass(frozen=True, slots=True)
class LoginAttempt:
    """A sign-in that has begun; the browser keeps it in a cookie until it comes back."""

    state: str
    nonce: str
    verifier: str
    next: str
    """The page that was asked for."""

    def cookie(self) -> str:
        """As a cookie's value."""
        return base64.urlsafe_b64encode(json.dumps(asdict(self)).encode()).decode().rstrip("=")

    @classmethod
    def of(cls, cookie: str) -> "LoginAttempt | None":
        """That of a cookie; None if it is none."""
        try:
            data = json.loads(base64.urlsafe_b64decode(cookie + "=" * (-len(cookie) % 4)))
            given = cls(**data)
        except (ValueError, TypeError, RecursionError):
            return None
        whole = all(isinstance(each, str) for each in asdict(given).values())
        return given if whole and given.state and given.nonce else None


def begin_path(next_: str) -> str:
    """The link that begins a sign-in."""
    return f"{ROOT}/sign-in/openid" + (f"?{urlencode({'next': next_})}" if next_ else "")
