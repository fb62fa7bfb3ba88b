"""The result of each recipient, if a mail was not accepted for all of them. Pure.

The notification's recipient decides its state. Each copy (cc, bcc) has its own result: a deferred one is sent
again, to that address only, and one refused for good leaves a dead letter that names it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from tidings_events import Notification


class Role(StrEnum):
    """The field of a mail that names a recipient."""

    TO = "to"
    CC = "cc"
    BCC = "bcc"


class RecipientState(StrEnum):
    """The result of one recipient."""

    SENT = "sent"
    """The provider accepted the mail."""
    DEFERRED = "deferred"
    """Refused for now: sent again with the next attempt."""
    REFUSED = "refused"
    """Refused for good."""
    GIVEN_UP = "given_up"
    """Deferred until no attempts were left, or it expired."""
    UNKNOWN = "unknown"
    """Perhaps sent, on a channel that sends at most once."""


MISSED: Final = frozenset({RecipientState.REFUSED, RecipientState.GIVEN_UP, RecipientState.UNKNOWN})
"""Final results of recipients who, as far as is known, have no mail."""


_TEXTS: Final = MappingProxyType(
    {
        **{state: state.value for state in RecipientState},
        RecipientState.GIVEN_UP: "given up",
        RecipientState.UNKNOWN: "perhaps sent",
    }
)


@dataclass(frozen=True, slots=True)
class RecipientResult:
    """The result of one recipient of a mail."""

    address: str
    """As the notification has it."""
    role: Role
    state: RecipientState
    kind: str = ""
    """The error's class if it was not sent, e.g. `rejected`."""
    code: str = ""
    """The provider's own."""
    message: str = ""
    """The provider's text, without personal data."""

    @property
    def settled(self) -> bool:
        """Whether nothing more is sent to it."""
        return self.state is not RecipientState.DEFERRED


def roles(notification: Notification) -> Mapping[str, Role]:
    """All addresses of a mail, each once, the recipient first."""
    addresses = {str(notification.recipient): Role.TO}
    for field in notification.copy_fields:
        for address in getattr(notification, field):
            addresses.setdefault(address, Role(field))
    return addresses


def may_have_copies(notification: Notification) -> bool:
    """Whether notifications of this channel can have copies."""
    return bool(notification.copy_fields)


def has_copies(notification: Notification) -> bool:
    """Whether it has copies."""
    return any(getattr(notification, field) for field in notification.copy_fields)


def merged(
    earlier: Iterable[RecipientResult], now: Iterable[RecipientResult]
) -> list[RecipientResult]:
    """The latest result for each address."""
    return list({result.address: result for result in (*earlier, *now)}.values())


def has_it(notification: Notification, results: Iterable[RecipientResult]) -> bool:
    """Whether the notification's recipient has the mail already."""
    recipient = notification.recipient
    return any(
        result.address == recipient and result.state is RecipientState.SENT for result in results
    )


def missed_copies(notification: Notification, missed: Sequence[RecipientResult]) -> str:
    """`sent; 2 of 3 copies refused: …`."""
    states = {result.state for result in missed}
    what = _TEXTS[states.pop()] if len(states) == 1 else "not sent"
    copies = len(roles(notification)) - 1
    return f"sent; {len(missed)} of {copies} copies {what}: {missed[0].message}"
