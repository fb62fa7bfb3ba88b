"""Each recipient's own result, where a mail was not taken alike for all of them. Pure.

Whom the notification is for decides its state. A copy (cc, bcc) has a result of its own: one that is put
off is asked again, for itself alone, and one that is refused for good leaves a dead letter that names it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from tidings_events import Notification


class Role(StrEnum):
    """How a mail is addressed to somebody."""

    TO = "to"
    CC = "cc"
    BCC = "bcc"


class RecipientState(StrEnum):
    """What became of one recipient."""

    SENT = "sent"
    """The provider took the mail for them."""
    DEFERRED = "deferred"
    """Not now: they are asked again with the next attempt."""
    REFUSED = "refused"
    """Refused for good."""
    GIVEN_UP = "given_up"
    """Put off until there were no attempts left, or it was too late."""
    UNKNOWN = "unknown"
    """Perhaps sent, on a channel that sends at most once."""


MISSED: Final = frozenset({RecipientState.REFUSED, RecipientState.GIVEN_UP, RecipientState.UNKNOWN})
"""Ends without the mail, as far as is known."""


_WORDS: Final = MappingProxyType(
    {
        **{state: state.value for state in RecipientState},
        RecipientState.GIVEN_UP: "given up",
        RecipientState.UNKNOWN: "perhaps sent",
    }
)


@dataclass(frozen=True, slots=True)
class RecipientResult:
    """What became of one recipient of a mail."""

    address: str
    """As the notification has it."""
    role: Role
    state: RecipientState
    kind: str = ""
    """The error's class where it was not sent, e.g. `rejected`."""
    code: str = ""
    """The provider's own."""
    message: str = ""
    """What it said; no personal data in it."""

    @property
    def settled(self) -> bool:
        """Whether they are not asked again."""
        return self.state is not RecipientState.DEFERRED


def roles(notification: Notification) -> Mapping[str, Role]:
    """Everybody a mail is for, each once, whom it is for first."""
    everybody = {str(notification.recipient): Role.TO}
    for field in notification.copy_fields:
        for address in getattr(notification, field):
            everybody.setdefault(address, Role(field))
    return everybody


def may_have_copies(notification: Notification) -> bool:
    """Whether such notifications can be for others than their recipient."""
    return bool(notification.copy_fields)


def has_copies(notification: Notification) -> bool:
    """Whether it is for others than its recipient too."""
    return any(getattr(notification, field) for field in notification.copy_fields)


def merged(
    earlier: Iterable[RecipientResult], now: Iterable[RecipientResult]
) -> list[RecipientResult]:
    """The last word on each."""
    return list({result.address: result for result in (*earlier, *now)}.values())


def has_it(notification: Notification, results: Iterable[RecipientResult]) -> bool:
    """Whether whom the notification is for has the mail already."""
    recipient = notification.recipient
    return any(result.address == recipient and result.state is RecipientState.SENT for result in results)


def told(notification: Notification, missed: Sequence[RecipientResult]) -> str:
    """`sent; 2 of 3 copies refused: …`."""
    states = {result.state for result in missed}
    what = _WORDS[states.pop()] if len(states) == 1 else "not sent"
    copies = len(roles(notification)) - 1
    return f"sent; {len(missed)} of {copies} copies {what}: {missed[0].message}"
