"""The requests to each provider within one attempt, if a channel has several."""

from dataclasses import dataclass
from typing import Final

NOT_ASKED: Final = "not_asked"
"""The provider's circuit was open."""
SENT: Final = "sent"


@dataclass(frozen=True, slots=True)
class ProviderAttempt:
    """One request to one provider, or why there was none."""

    provider: str
    """Its name in the settings."""
    kind: str
    """`sent`, `not_asked`, or the error's class."""
    code: str = ""
    """The provider's own."""
    duration: float = 0.0
    """Seconds."""
