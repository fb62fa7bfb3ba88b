"""What can go wrong with a notification, and what each error means for it.

TidingsError
├── MalformedNotification      can't be read: undeliverable at once, bytes kept
├── DeliveryError              raised only by channels
│   ├── Rejected               no use trying again: bad address, opted out, a 5xx reply
│   ├── Unavailable            worth another try: timeout, connection, a 4xx reply
│   │   └── Throttled          worth another try, not before `retry_after`
│   ├── OutcomeUnknown         the reply was lost after the payload went out
│   ├── Misconfigured          our fault, not the notification's: rest, spend no attempt
│   └── OutOfService           the provider is known to be down: rest, spend no attempt
├── BrokerUnavailable          leave unacked, back off
├── LedgerUnavailable          leave unacked, back off
├── ConfigurationError         a setting is wrong or missing
└── Refused                    a command was understood and can't be done
"""

from typing import ClassVar

from tidings.delivery.tries import Tried


class TidingsError(Exception):
    """Something Tidings could not do; the message says what, where, and what to do."""


class MalformedNotification(TidingsError):
    """A message that can't be read as a notification. Its bytes go to the dead letters intact."""

    def __init__(self, *problems: str) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


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
        self.tries: tuple[Tried, ...] = ()
        """Whom else was asked, and this one; empty where there is only one provider."""


class Rejected(DeliveryError):
    """The provider, or a rule, refuses this notification for good."""

    kind = "rejected"


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


class OutcomeUnknown(DeliveryError):
    """The payload went out and the reply was lost: it may have been delivered."""

    kind = "outcome_unknown"


class Misconfigured(DeliveryError):
    """The channel itself is set up wrongly (credentials, sender): no notification is to blame."""

    kind = "misconfigured"


class OutOfService(DeliveryError):
    """Nothing was sent, by no fault of this notification: the provider is known to be down."""

    kind = "out_of_service"


class BrokerUnavailable(TidingsError):
    """RabbitMQ can't be reached, or did not answer in time."""


class LedgerUnavailable(TidingsError):
    """PostgreSQL can't be reached, or did not answer in time."""


class LedgerRefused(TidingsError):
    """PostgreSQL can't hold this value, however often it is asked; nothing else is wrong with it."""


class ConfigurationError(TidingsError):
    """A setting is wrong or missing; the message names it."""


class Refused(TidingsError):
    """A command was understood and can't be carried out; the message says why."""
