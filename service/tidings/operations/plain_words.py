"""Tells what became of a notification in words that a support agent can read out."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from tidings.delivery.states import State
from tidings.ledger.notifications.details import NotificationSummary
from tidings.operations.inbox.message_states import MessageState, MessageStateView
from tidings.operations.masks import discreet

IN_APP: Final = "in_app"
BY: Final = {
    "email": "by email",
    "sms": "by SMS",
    "whatsapp": "by WhatsApp",
    "webhook": "by webhook",
    IN_APP: "in the inbox",
}
"""The way of each channel."""
MAIL_FAULTS: Final = {
    "5.1.1": "the mailbox does not exist",
    "5.1.2": "there is no mail server for the part behind the @",
    "5.1.6": "the mailbox has moved",
    "5.1.10": "the part behind the @ takes no mail",
    "5.2.1": "the mailbox is switched off",
    "5.2.2": "the mailbox is full",
    "5.2.3": "the message is too large for the mailbox",
    "5.3.4": "the message is too large",
    "5.7.1": "the mail server refused it by its rules",
    "5.7.26": "the mail server does not accept who it says it is from",
    "4.2.1": "the mailbox is switched off for now",
    "4.2.2": "the mailbox is full",
    "4.7.1": "the mail server asks to try later",
}
"""By enhanced status code (RFC 3463, and its registry at IANA)."""


@dataclass(frozen=True, slots=True)
class PlainWords:
    """What somebody was to get, and what became of it: `SMS code: not delivered, the number is unknown`."""

    what: str
    outcome: str
    at: datetime | None = None
    """When that became so, or is to be."""
    more: str = ""
    """By whom it was accepted, why it was not delivered, what its user did with it."""
    arrived: bool | None = None
    """None: that is not known, or not decided yet."""

    @property
    def sentence(self) -> str:
        """All of it, with its time in UTC."""
        at = f" on {self.at.astimezone(UTC):%-d %B %Y at %H:%M} UTC" if self.at else ""
        return f"{self.what}: {self.outcome}{at}{f', {self.more}' if self.more else ''}"

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        return {"sentence": self.sentence, "arrived": self.arrived}


def plain_words(
    notification: NotificationSummary, inbox: MessageStateView | None = None
) -> PlainWords:
    """What became of one.

    Args:
        notification: In short.
        inbox: What its user did with it, if it is in an inbox.
    """
    way = BY.get(notification.channel, f"by {notification.channel}")
    what = f"{_subject(notification.category)} {way}"
    outcome, at, more, arrived = _became(notification, inbox)
    return PlainWords(what, outcome, at, more, arrived)


def _subject(category: str) -> str:
    """`order-shipped` is `Order shipped`, and `otp` `OTP`."""
    words = category.replace("-", " ").replace("_", " ").replace(".", " ").split()
    if len(words) == 1 and len(category) <= 3:
        return category.upper()
    return " ".join(words).capitalize()


Became = tuple[str, datetime | None, str, bool | None]


def _became(it: NotificationSummary, inbox: MessageStateView | None) -> Became:
    """Outcome, time, more, and whether it arrived."""
    ended = it.finished_at
    became: Mapping[State, Became] = {
        State.SCHEDULED: ("not sent yet, planned", it.dispatch_at or it.scheduled_at, "", None),
        State.QUEUED: ("not sent yet", None, "it waits for its turn", None),
        State.SENDING: ("being sent at this moment", None, "", None),
        State.RETRYING: ("not delivered yet", None, f"{fault(it)}; it is tried again", None),
        State.SENT: ("sent", ended, _accepted(it), True),
        State.DELIVERED: ("delivered", ended, "as the provider's receipt says", True),
        State.BOUNCED: ("not delivered, it came back", ended, fault(it), False),
        State.FAILED: ("not delivered", None, fault(it), False),
        State.CANCELLED: ("not sent, it was cancelled", ended, "", False),
        State.SUPPRESSED: ("not sent", None, "the same had been sent before", False),
        State.EXPIRED: ("not delivered, it was too late", ended, fault(it, ""), False),
        State.UNKNOWN: ("perhaps delivered", ended, "the provider's answer was lost", None),
        State.DISCARDED: ("not delivered", None, f"{fault(it)}; somebody gave it up", False),
    }
    if it.channel == IN_APP and it.state in {State.SENT, State.DELIVERED}:
        return "put into the inbox", ended, _read(inbox), True
    return became[it.state]


def _accepted(it: NotificationSummary) -> str:
    provider = (it.provider or "").rpartition(":")[2]
    return f"accepted by {provider}" if provider else ""


_MARKS: Final = {
    MessageState.UNSEEN: "not looked at yet",
    MessageState.SEEN: "seen, not opened",
    MessageState.READ: "read",
    MessageState.ACTED: "answered",
    MessageState.SNOOZED: "put off by its reader",
    MessageState.ARCHIVED: "archived by its reader",
    MessageState.EXPIRED: "taken out when its time was up",
    MessageState.DELETED: "deleted",
    MessageState.REMOVED: "deleted",
}


def _read(inbox: MessageStateView | None) -> str:
    """What its user did with it."""
    return "" if inbox is None else _MARKS[inbox.state]


def fault(it: NotificationSummary, unknown: str = "the reason is not known") -> str:
    """Why it was not delivered.

    Args:
        it: The notification.
        unknown: The words for no reason.
    """
    for code in (it.failure_code or "").replace("-", " ").split():
        if it.channel == "email" and code in MAIL_FAULTS:
            return MAIL_FAULTS[code]
    return discreet(it.failure_message or "").rstrip(".") or unknown
