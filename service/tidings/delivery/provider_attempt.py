"""Who was asked on the way to an outcome, where a channel has more than one provider."""

from dataclasses import dataclass
from typing import Final

NOT_ASKED: Final = "not_asked"
"""The provider's circuit was open."""
SENT: Final = "sent"


@dataclass(frozen=True, slots=True)
class ProviderAttempt:
    """One provider's part in an attempt."""

    provider: str
    """Its name in the settings."""
    kind: str
    """`sent`, `not_asked`, or the error's class."""
    code: str = ""
    """The provider's own."""
    duration: float = 0.0
    """Seconds."""
