"""The sink: takes test notifications in place of a provider, and fails for the test recipients that say so.

It does no I/O, so a test can't reach anybody, whatever the settings are. The behaviour is read from the recipient alone
(as with Amazon SES's mailbox simulator and Twilio's magic numbers) and from how often it was tried.
"""

import re
from enum import StrEnum
from typing import Final

from tidings.delivery.errors import OutcomeUnknown, Rejected, Throttled, Unavailable
from tidings.delivery.outcome import Sent
from tidings.delivery.ports import SendRequest

SINK: Final = "test"
"""Named as the provider of every test attempt."""
HOST: Final = "tidings.test"
"""The domain of test recipients; no such domain can exist (RFC 6761, section 6.2)."""
RETRY_AFTER: Final = 1.0
"""Seconds that a throttled test asks for."""


class Behaviour(StrEnum):
    """What the sink does with a notification to a test recipient."""

    SENT = "sent"
    REJECTED = "rejected"
    """Refused for good, each time."""
    REJECTED_ONCE = "rejected-once"
    """Refused for good, and taken when it is replayed."""
    FAILS_ONCE = "fails-once"
    FAILS_TWICE = "fails-twice"
    FAILS_ALWAYS = "fails-always"
    THROTTLED = "throttled"
    """Asked to wait at the first attempt, and taken at the next."""
    OUTCOME_UNKNOWN = "outcome-unknown"
    """The reply to the first attempt is lost; a further one is taken."""


FIRST_NUMBER: Final = 12_025_550_190
"""The number of `sent`; the others follow in their order. Numbers 555-0100 to 555-0199 belong to nobody (NANP)."""
_NUMBERS: Final = {
    f"+{FIRST_NUMBER + place}": behaviour for place, behaviour in enumerate(Behaviour)
}
_EMAIL: Final = re.compile(rf"([^@+]*)(?:\+[^@]*)?@{re.escape(HOST)}", re.IGNORECASE)
_URL: Final = re.compile(
    rf"https?://{re.escape(HOST)}(?::\d+)?(?:/([^/?]*))?(?:[/?].*)?", re.IGNORECASE
)


_FAILURES: Final = {
    Behaviour.FAILS_ONCE: 1,
    Behaviour.FAILS_TWICE: 2,
    Behaviour.FAILS_ALWAYS: 1_000_000,
}
"""Attempts of each epoch that fail."""


def receive(request: SendRequest) -> Sent:
    """Take a test notification, as its recipient has it.

    Raises:
        DeliveryError: Its recipient is one that fails, or none that is known at the domain of test recipients.
    """
    attempt = request.attempt
    try:
        behaviour = behaviour_of(str(request.notification.recipient))
    except ValueError as error:
        raise Rejected(str(error), provider=SINK, code="no_such_test_recipient") from None
    match behaviour:
        case Behaviour.REJECTED:
            raise Rejected("test: refused for good", provider=SINK, code=behaviour)
        case Behaviour.REJECTED_ONCE if attempt.epoch == 0:
            raise Rejected("test: refused until it is replayed", provider=SINK, code=behaviour)
        case Behaviour.THROTTLED if attempt.number == 1:
            raise Throttled(
                "test: too many", provider=SINK, code=behaviour, retry_after=RETRY_AFTER
            )
        case Behaviour.OUTCOME_UNKNOWN if attempt.number == 1:
            raise OutcomeUnknown("test: the reply was lost", provider=SINK, code=behaviour)
        case _ if attempt.number <= _FAILURES.get(behaviour, 0):
            raise Unavailable("test: unavailable", provider=SINK, code=behaviour)
        case _:
            return Sent(SINK, f"test-{request.key}")


def behaviour_of(recipient: str) -> Behaviour:
    """The behaviour that a recipient asks for; `sent` unless it is a test recipient.

    Raises:
        ValueError: It is at the domain of test recipients, and none of them: probably misspelt.
    """
    if (number := _NUMBERS.get(recipient)) is not None:
        return number
    at_host = _EMAIL.fullmatch(recipient) or _URL.fullmatch(recipient)
    if at_host is None:
        return Behaviour.SENT
    name = (at_host[1] or "").lower()
    if name not in set(Behaviour):
        raise ValueError(f"there is no such test recipient; known are {', '.join(Behaviour)}")
    return Behaviour(name)
