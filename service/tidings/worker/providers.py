"""Sends through the channel's providers, each behind its circuit breaker."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from time import monotonic, perf_counter
from typing import Final, TypeAlias
from uuid import UUID

import structlog

from tidings.channels.registry import labelled
from tidings.delivery.circuit import Circuit, Phase
from tidings.delivery.errors import (
    Deferred,
    DeliveryError,
    LocalShortage,
    Misconfigured,
    OutcomeUnknown,
    OutOfService,
    Rejected,
    Throttled,
    Unavailable,
)
from tidings.delivery.outcome import Sent
from tidings.delivery.ports import Channel, Finding, SendRequest, TemplateParts
from tidings.delivery.provider_attempt import NOT_ASKED, SENT, ProviderAttempt
from tidings.delivery.sink import receive
from tidings.runtime.deadlines import Deadlines

log = structlog.get_logger(__name__)

LATELY: Final = 15.0
"""Seconds after a shortage during which the worker reports itself not ready."""
OVERTIME: Final = 5.0
"""Seconds past its timeout after which a send that doesn't return is abandoned."""
REMEMBERED: Final = 10_000
"""Notifications whose failures are remembered."""
NOTHING_SENT: Final = (Unavailable, Misconfigured, OutOfService)
"""Errors after which the next provider may be called: this one has certainly sent nothing."""


class RepeatFailures:
    """The notifications that failed at a provider, and its number of sent notifications at that time.

    If one fails again although others were sent in between, the notification is at fault, not the provider (unless
    that is known to be down). Only the newest are remembered.
    """

    def __init__(self) -> None:
        self._failed_at: dict[UUID, int] = {}

    def again(self, id: UUID, sent: int) -> bool:
        """Count a failure; returns whether it failed before and others were sent since.

        Args:
            sent: Notifications that the provider has sent so far.
        """
        before = self._failed_at.pop(id, sent)
        self._failed_at[id] = sent
        if len(self._failed_at) > REMEMBERED:
            del self._failed_at[next(iter(self._failed_at))]
        return sent > before


@dataclass(slots=True, eq=False)
class Provider:
    """A provider of a channel."""

    name: str
    channel: Channel
    circuit: Circuit
    last_error: str = ""
    """Its last error; empty if there was none."""
    sent: int = 0
    """Notifications that it accepted."""
    repeat_failures: RepeatFailures = field(default_factory=RepeatFailures)
    short_at: float = -inf
    """When this process was last short of resources to call it, in seconds of a monotonic clock."""


Listener: TypeAlias = Callable[[Provider, Phase], None]
"""Called with a provider whose circuit has changed, and its earlier phase."""


class Providers:
    """The providers of one channel.

    Args:
        providers: At least one, the preferred one first.
    """

    def __init__(self, providers: Sequence[Provider]) -> None:
        self.all = tuple(providers)
        self.all_closed = True
        """Whether every circuit is closed."""
        self._overtime = Deadlines()
        self._listener: Listener = _no_listener

    def on_change(self, listener: Listener) -> None:
        """Set the listener for changes of circuits."""
        self._listener = listener

    @property
    def name(self) -> str:
        """The channel's name."""
        return self.all[0].channel.name

    @property
    def template_parts(self) -> TemplateParts:
        """The template files that the channel reads."""
        return self.all[0].channel.template_parts

    @property
    def short_of_resources(self) -> bool:
        """Whether this process was recently short of resources to call a provider."""
        return any(monotonic() - provider.short_at < LATELY for provider in self.all)

    @property
    def slots(self) -> int:
        """How many sends may begin now."""
        return max(provider.circuit.slots for provider in self.all)

    @property
    def under_way(self) -> int:
        """Sends that have begun and not ended."""
        return sum(provider.circuit.under_way for provider in self.all)

    def wait(self) -> float:
        """Seconds until a send may begin; `inf` if another has to end first."""
        return min(provider.circuit.wait() for provider in self.all)

    async def send(self, request: SendRequest) -> Sent:
        """Deliver once: through the first available provider, or the next if that one sent nothing.

        Each has `request.timeout` seconds. A test goes to the sink: no provider is called, and no circuit counts it.

        Raises:
            DeliveryError: The error that ended it, or the first provider's if none could send it.
                `OutOfService` if no provider is available: not the fault of this notification.
        """
        if request.notification.test:
            return receive(request)
        provider_attempts: list[ProviderAttempt] = []
        errors: list[DeliveryError] = []
        try:
            for provider in self.all:
                if not (era := self._enter(provider)):
                    provider_attempts.append(ProviderAttempt(provider.name, NOT_ASKED))
                    continue
                began = perf_counter()
                try:
                    sent = await self._call(provider, era, request)
                except DeliveryError as error:
                    took = perf_counter() - began
                    provider_attempts.append(
                        ProviderAttempt(provider.name, error.kind, error.code, took)
                    )
                    errors.append(error)
                    if not isinstance(error, NOTHING_SENT):
                        break
                else:
                    return self._with_attempts(
                        sent, provider, provider_attempts, perf_counter() - began
                    )
            raise self._final_error(errors, provider_attempts)
        finally:
            errors.clear()  # they reference this frame: garbage that only a long pause would collect

    def _with_attempts(
        self,
        sent: Sent,
        provider: Provider,
        provider_attempts: Sequence[ProviderAttempt],
        duration: float,
    ) -> Sent:
        if not provider_attempts:
            return sent
        return replace(
            sent,
            provider_attempts=(
                *provider_attempts,
                ProviderAttempt(provider.name, SENT, sent.code, duration),
            ),
        )

    def _final_error(
        self, errors: Sequence[DeliveryError], provider_attempts: Sequence[ProviderAttempt]
    ) -> DeliveryError:
        """The error to raise: the one that ended it, else the first that was news, else `OutOfService`."""
        ended = [error for error in errors if not isinstance(error, NOTHING_SENT)]
        news = [error for error in errors if not isinstance(error, OutOfService)]
        error = next(iter((*ended, *news, *errors)), None) or OutOfService(self._unavailable())
        if len(self.all) > 1:
            error.provider_attempts = tuple(provider_attempts)
        return error

    async def check(self) -> Sequence[Finding]:
        """Check every provider without sending anything."""
        found = [
            labelled(provider.name, self.name, await provider.channel.check())
            for provider in self.all
        ]
        return [finding for findings in found for finding in findings]

    async def close(self) -> None:
        """Close connections."""
        for provider in self.all:
            await provider.channel.close()

    def _enter(self, provider: Provider) -> int:
        before = provider.circuit.phase
        era = provider.circuit.enter()
        self._notify(provider, before)
        return era

    async def _call(self, provider: Provider, era: int, request: SendRequest) -> Sent:
        limit = request.timeout + OVERTIME  # if a channel ignores its timeout
        try:
            sent = await self._overtime.within(limit, provider.channel.send(request))
        except TimeoutError:
            late = OutcomeUnknown(f"the channel did not return within {limit:g}s")
            raise self._counted(provider, era, late, request.attempt.id) from None
        except DeliveryError as error:
            raise self._counted(provider, era, error, request.attempt.id) from None
        except BaseException:  # cancelled, or our bug: not the provider's fault
            self._change(provider, lambda: provider.circuit.withdrew(era))
            raise
        before = provider.circuit.phase
        provider.circuit.succeeded(era)
        provider.short_at = -inf
        provider.sent += 1
        self._notify(provider, before)
        return sent

    def _counted(
        self, provider: Provider, era: int, error: DeliveryError, id: UUID
    ) -> DeliveryError:
        """Count an error; returns the error as it applies to the notification."""
        before = provider.circuit.phase
        meaning = self._effect(provider, era, error, id)
        self._notify(provider, before)
        return meaning

    def _effect(
        self, provider: Provider, era: int, error: DeliveryError, id: UUID
    ) -> DeliveryError:
        if isinstance(error, Rejected | Deferred):
            provider.circuit.succeeded(era)
            return error
        if isinstance(error, LocalShortage):  # only waiting helps; a short pause
            provider.last_error, provider.short_at = error.message, monotonic()
            provider.circuit.failed(era, misconfigured=True, doubtful=True)
            return error
        if isinstance(error, OutOfService):  # no connection became free: it was not called
            provider.circuit.withdrew(era)
            return error
        again = provider.repeat_failures.again(id, provider.sent) and not isinstance(
            error, Throttled
        )
        if again and provider.circuit.healthy:
            provider.circuit.withdrew(era)
            return _notification_error(error)
        # A repeated failure while no other notification is sent: the next one shows whether the provider is at fault.
        provider.last_error = error.message
        if _failed(provider.circuit, era, error, doubtful=again) or isinstance(
            error, Misconfigured | OutcomeUnknown
        ):
            return error
        return OutOfService(error.message, provider=error.provider, code=error.code)

    def hold(self, provider: Provider, reason: str) -> None:
        """Stop using this provider, by an operator's order."""
        provider.last_error = reason
        self._change(provider, provider.circuit.hold)

    def reset(self, provider: Provider) -> None:
        """Use this provider again, by an operator's order."""
        self._change(provider, provider.circuit.reset)

    def _change(self, provider: Provider, change: Callable[[], None]) -> None:
        before = provider.circuit.phase
        change()
        self._notify(provider, before)

    def _notify(self, provider: Provider, before: Phase) -> None:
        if provider.circuit.phase is not before:
            self.all_closed = all(provider.circuit.phase is Phase.CLOSED for provider in self.all)
            self._listener(provider, before)

    def _unavailable(self) -> str:
        providers = (
            f"{provider.name} ({provider.last_error})" if provider.last_error else provider.name
            for provider in self.all
        )
        return f"no provider is available: {', '.join(providers)}"


def log_change(channel: str, provider: Provider, before: Phase) -> None:
    """Log a change of a circuit; probes at debug level only."""
    circuit = provider.circuit
    bound_log = log.bind(channel=channel, provider=provider.name)
    match circuit.phase:
        case Phase.OPEN if before is Phase.PROBING:
            bound_log.info(
                "provider still down",
                error=provider.last_error,
                next_probe_in=round(circuit.wait(), 1),
            )
        case Phase.OPEN:
            bound_log.error(
                "provider down: no attempts spent",
                error=provider.last_error,
                next_probe_in=round(circuit.wait(), 1),
            )
        case Phase.DISABLED:
            bound_log.warning("provider disabled by an operator", reason=provider.last_error)
        case Phase.PROBING:
            bound_log.debug("provider probed")
        case Phase.RAMPING:
            bound_log.warning("provider recovering")
        case Phase.CLOSED:
            bound_log.warning("provider recovered", before=before.value)


def _failed(circuit: Circuit, era: int, error: DeliveryError, *, doubtful: bool) -> bool:
    match error:
        case Misconfigured(doubtful=of_one):
            return circuit.failed(era, misconfigured=True, doubtful=of_one or doubtful)
        case Throttled(retry_after=wait):
            return circuit.failed(era, no_sooner_than=wait or 0.0)
        case _:
            return circuit.failed(era, doubtful=doubtful)


def _notification_error(error: DeliveryError) -> DeliveryError:
    """The error of this notification only, in a form that spends an attempt."""
    if isinstance(error, Misconfigured):
        return Deferred(error.message, provider=error.provider, code=error.code)
    return error


def _no_listener(_: Provider, __: Phase) -> None:
    """The default: no listener."""
