"""The errors of Tidings, and the effect of each on its notification.

TidingsError
├── MalformedNotification      can't be read: a dead letter at once, bytes intact
│   └── Misrouted              can be read, and is in another channel's lane
├── DeliveryError              raised only by channels
│   ├── Rejected               permanent: bad address, opted out, a 5xx reply
│   ├── Unavailable            temporary: timeout, connection, a 4xx reply
│   │   ├── Throttled          temporary: not before `retry_after`
│   │   └── Deferred           temporary, for this notification only; the provider works
│   ├── OutcomeUnknown         the reply was lost after the payload went out
│   ├── Misconfigured          our fault, not the notification's: opens the circuit, spends no attempt
│   └── OutOfService           the provider is known to be down: spends no attempt
│       └── Postponed          postponed without a request, so that a slow receiver does not delay others
├── BrokerUnavailable          leave unacked, back off
├── LedgerUnavailable          leave unacked, back off
│   ├── CommitUnknown          what was to be stored may have been committed
│   └── RowsMoving             this notification alone; others are not affected
├── ConfigurationError         a setting is wrong or missing
├── InvalidRequest             a request to an operation has an invalid value
└── Refused                    a valid request can't be carried out
    └── NotFound               it names something that doesn't exist
"""

from enum import StrEnum
from typing import ClassVar

from tidings.delivery.provider_attempt import ProviderAttempt


class TidingsError(Exception):
    """The base of all errors; the message says what happened, where, and what to do."""


class MalformedNotification(TidingsError):
    """A message that can't be read as a notification. It becomes a dead letter, bytes intact."""

    kind: ClassVar[str] = "malformed"

    def __init__(self, *problems: str) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class Misrouted(MalformedNotification):
    """A message in the lane of another channel than its own; it is not claimed.

    Args:
        channel: Its own.
    """

    kind = "misrouted"

    def __init__(self, channel: str, problem: str) -> None:
        super().__init__(problem)
        self.channel = channel


class DeliveryError(TidingsError):
    """A channel could not deliver.

    `message` is recorded and shown to people, so it holds no personal data: neither the
    recipient nor content.

    Args:
        message: The provider's text or a description, in one sentence.
        provider: The provider called, e.g. `smtp:mail.example.com` or `twilio`.
        code: The provider's own code, e.g. `550 5.1.1` or `21211`; empty if there is none.
    """

    kind: ClassVar[str] = "delivery_error"

    def __init__(self, message: str, *, provider: str = "", code: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.provider = provider
        self.code = code
        self.provider_attempts: tuple[ProviderAttempt, ...] = ()
        """All provider attempts, this one included; empty if the channel has only one provider."""


class Suppression(StrEnum):
    """Why nothing more should be sent to a recipient through a channel."""

    NO_SUCH_RECIPIENT = "no_such_recipient"
    """No mailbox, phone or account that could receive it is behind the address."""
    OPTED_OUT = "opted_out"
    """The recipient wants no more."""


class Rejected(DeliveryError):
    """The provider, or a rule, refuses this notification for good.

    Args:
        suppress: Why no other notification should go to this recipient either; None if that is not known.
    """

    kind = "rejected"

    def __init__(
        self,
        message: str,
        *,
        provider: str = "",
        code: str = "",
        suppress: Suppression | None = None,
    ) -> None:
        super().__init__(message, provider=provider, code=code)
        self.suppress = suppress


class Unavailable(DeliveryError):
    """Nothing was sent, and a later attempt may succeed."""

    kind = "unavailable"


class Throttled(Unavailable):
    """The provider asks us to slow down.

    Args:
        retry_after: Seconds that the provider asks us to wait; None if it didn't say.
    """

    kind = "throttled"

    def __init__(
        self, message: str, *, provider: str = "", code: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(message, provider=provider, code=code)
        self.retry_after = retry_after


class Deferred(Unavailable):
    """The provider refuses this one notification for now: a full mailbox, a busy number.

    Others are not affected: the attempt is spent, and the provider's circuit counts an answer.
    """

    kind = "deferred"


class OutcomeUnknown(DeliveryError):
    """The payload went out and the reply was lost: it may have been delivered."""

    kind = "outcome_unknown"


class Misconfigured(DeliveryError):
    """The channel itself is set up wrongly (credentials, sender): no notification is to blame.

    Args:
        doubtful: Whether it may affect this notification only.
    """

    kind = "misconfigured"

    def __init__(
        self, message: str, *, provider: str = "", code: str = "", doubtful: bool = False
    ) -> None:
        super().__init__(message, provider=provider, code=code)
        self.doubtful = doubtful


class OutOfService(DeliveryError):
    """Nothing was sent, through no fault of this notification: the provider is known to be down."""

    kind = "out_of_service"


class LocalShortage(OutOfService):
    """Nothing was sent, because this process is short of open files, memory or threads."""

    kind = "local_shortage"


class Postponed(OutOfService):
    """No request was made: the receiver of this notification, or too many like it, would delay others.

    No attempt is spent if the receiver answers, nor before it was postponed for as long as all retries would take.

    Args:
        wait: Seconds until a request makes sense.
        answers: Whether the receiver answers, if slowly: the notification will be sent.
        no_later: Whether `wait` is the longest time to postpone it; if not, it is the shortest.
    """

    kind = "postponed"

    def __init__(
        self,
        message: str,
        *,
        provider: str = "",
        code: str = "",
        wait: float = 0.0,
        answers: bool = False,
        no_later: bool = False,
    ) -> None:
        super().__init__(message, provider=provider, code=code)
        self.wait = wait
        self.answers = answers
        self.no_later = no_later


class BrokerUnavailable(TidingsError):
    """RabbitMQ can't be reached, or did not answer in time."""


class LedgerUnavailable(TidingsError):
    """PostgreSQL can't be reached, or did not answer in time."""


class CommitUnknown(LedgerUnavailable):
    """PostgreSQL's answer to a statement was lost: it may have been committed."""


class RowsMoving(LedgerUnavailable):
    """Rows of these ids are moving to another partition; those of others are not held up."""


class LedgerRefused(TidingsError):
    """PostgreSQL can't store this value, and never will; PostgreSQL itself works."""


class ConfigurationError(TidingsError):
    """A setting is wrong or missing; the message names it."""


class InvalidRequest(TidingsError):
    """A request to an operation has an invalid value; the message says why.

    Args:
        field: The value's name in the request; empty if several values contradict each other.
    """

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class Refused(TidingsError):
    """A valid request can't be carried out; the message says why."""


class NotFound(Refused):
    """What the request names doesn't exist, or belongs to another tenant."""
