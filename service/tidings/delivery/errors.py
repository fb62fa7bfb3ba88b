"""What can go wrong with a notification, and what each error means for it.

TidingsError
├── MalformedNotification      can't be read: undeliverable at once, bytes kept
│   └── Misrouted              can be read, and lies in another channel's lane
├── DeliveryError              raised only by channels
│   ├── Rejected               no use trying again: bad address, opted out, a 5xx reply
│   ├── Unavailable            worth another try: timeout, connection, a 4xx reply
│   │   ├── Throttled          worth another try, not before `retry_after`
│   │   └── Deferred           worth another try; the provider is well, it is only this notification
│   ├── OutcomeUnknown         the reply was lost after the payload went out
│   ├── Misconfigured          our fault, not the notification's: rest, spend no attempt
│   └── OutOfService           the provider is known to be down: rest, spend no attempt
│       └── Postponed          not asked: this receiver, or too many like it, keep others waiting
├── BrokerUnavailable          leave unacked, back off
├── LedgerUnavailable          leave unacked, back off
│   └── RowsMoving             this notification alone; others go on
├── ConfigurationError         a setting is wrong or missing
├── InvalidRequest             a request to an operation has a value that can't be meant so
└── Refused                    a request was understood and can't be done
"""

from enum import StrEnum
from typing import ClassVar

from tidings.delivery.provider_attempt import ProviderAttempt


class TidingsError(Exception):
    """Something Tidings could not do; the message says what, where, and what to do."""


class MalformedNotification(TidingsError):
    """A message that can't be read as a notification. Its bytes go to the dead letters intact."""

    kind: ClassVar[str] = "malformed"

    def __init__(self, *problems: str) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class Misrouted(MalformedNotification):
    """A message in the lane of a channel that it is not for: nothing for this lane's worker to claim.

    Args:
        channel: Whose it is.
    """

    kind = "misrouted"

    def __init__(self, channel: str, problem: str) -> None:
        super().__init__(problem)
        self.channel = channel


class DeliveryError(TidingsError):
    """A channel could not deliver.

    `message` is recorded and shown to people, so it holds no personal data: neither the
    recipient nor what was written to them.

    Args:
        message: What the provider said or what happened, in one sentence.
        provider: Who was asked, e.g. `smtp:mail.example.com` or `twilio`.
        code: The provider's own code, e.g. `550 5.1.1` or `21211`; empty where there is none.
    """

    kind: ClassVar[str] = "delivery_error"

    def __init__(self, message: str, *, provider: str = "", code: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.provider = provider
        self.code = code
        self.provider_attempts: tuple[ProviderAttempt, ...] = ()
        """Whom else was asked, and this one; empty where there is only one provider."""


class Suppression(StrEnum):
    """Why a recipient should not be written to again through a channel."""

    NO_SUCH_RECIPIENT = "no_such_recipient"
    """No mailbox, phone or account that could receive it is behind the address."""
    OPTED_OUT = "opted_out"
    """They want no more."""


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
    """Nothing was sent, and a later try may succeed."""

    kind = "unavailable"


class Throttled(Unavailable):
    """The provider asks us to slow down.

    Args:
        retry_after: Seconds until the provider wants to hear from us again; None if it didn't say.
    """

    kind = "throttled"

    def __init__(
        self, message: str, *, provider: str = "", code: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(message, provider=provider, code=code)
        self.retry_after = retry_after


class Deferred(Unavailable):
    """The provider is well and puts off this one notification: a full mailbox, a busy number.

    It says nothing of others: the attempt is spent, and the provider's circuit counts an answer.
    """

    kind = "deferred"


class OutcomeUnknown(DeliveryError):
    """The payload went out and the reply was lost: it may have been delivered."""

    kind = "outcome_unknown"


class Misconfigured(DeliveryError):
    """The channel itself is set up wrongly (credentials, sender): no notification is to blame.

    Args:
        doubtful: Whether it may be about this notification only, for all that is known yet.
    """

    kind = "misconfigured"

    def __init__(
        self, message: str, *, provider: str = "", code: str = "", doubtful: bool = False
    ) -> None:
        super().__init__(message, provider=provider, code=code)
        self.doubtful = doubtful


class OutOfService(DeliveryError):
    """Nothing was sent, by no fault of this notification: the provider is known to be down."""

    kind = "out_of_service"


class LocalShortage(OutOfService):
    """Nothing was sent, for want of something of our own: open files, memory, threads. Nobody else is to blame."""

    kind = "local_shortage"


class Postponed(OutOfService):
    """Nobody was asked: the receiver of this notification, or too many like it, would keep others waiting.

    No attempt is spent where the receiver answers, nor before it was put off for as long as all retries would take.

    Args:
        wait: Seconds until it is worth while to ask.
        answers: Whether the receiver answers, if slowly: its turn will come.
        no_later: Whether its turn may come then, so that it should be back; else it should come no sooner.
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


class RowsMoving(LedgerUnavailable):
    """Rows of these ids are moving to another partition; those of others are not held up."""


class LedgerRefused(TidingsError):
    """PostgreSQL can't hold this value, however often it is asked; nothing else is wrong with it."""


class ConfigurationError(TidingsError):
    """A setting is wrong or missing; the message names it."""


class InvalidRequest(TidingsError):
    """A request to an operation has a value that can't be meant so; the message says why.

    Args:
        field: The value's name in the request; empty if the fault is that some don't go together.
    """

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class Refused(TidingsError):
    """A request was understood and can't be carried out; the message says why."""
