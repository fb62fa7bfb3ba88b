"""Step four, send: asks the channel's providers, each behind its circuit, and learns from what they say."""

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
from tidings.runtime.deadlines import Overtime

log = structlog.get_logger(__name__)

LATELY: Final = 15.0
"""Seconds after a shortage during which the worker reports itself not ready."""
OVERTIME: Final = 5.0
"""Seconds past its time after which a channel that doesn't return is given up."""
REMEMBERED: Final = 10_000
"""Notifications whose failures are remembered."""
NOTHING_SENT: Final = (Unavailable, Misconfigured, OutOfService)
"""Errors after which the next provider may be asked: that this one has sent nothing is certain."""


class RepeatFailures:
    """Notifications that a provider failed for, and how many it had sent by then.

    One that fails again although others were sent in between has itself to blame, unless the provider is
    known to be down: what it meets says nothing of how the provider is. Only the newest are remembered.
    """

    def __init__(self) -> None:
        self._failed_at: dict[UUID, int] = {}

    def again(self, id: UUID, sent: int) -> bool:
        """It failed, after so many were sent; whether it did before, and others were sent since."""
        before = self._failed_at.pop(id, sent)
        self._failed_at[id] = sent
        if len(self._failed_at) > REMEMBERED:
            del self._failed_at[next(iter(self._failed_at))]
        return sent > before


@dataclass(slots=True, eq=False)
class Provider:
    """Somebody who delivers for a channel."""

    name: str
    channel: Channel
    circuit: Circuit
    last_error: str = ""
    """What it said last that was no success; empty where nothing is known."""
    sent: int = 0
    """Notifications it took."""
    repeat_failures: RepeatFailures = field(default_factory=RepeatFailures)
    short_at: float = -inf
    """When it last could not be asked for want of something of our own, in seconds of a monotonic clock."""


Listener: TypeAlias = Callable[[Provider, Phase], None]
"""Told of a provider whose circuit has changed, and of the phase it was in."""


class Providers:
    """Who delivers for one channel.

    Args:
        providers: At least one, the preferred one first.
    """

    def __init__(self, providers: Sequence[Provider]) -> None:
        self.all = tuple(providers)
        self.all_closed = True
        """Whether every circuit is closed."""
        self._overtime = Overtime()
        self._tell: Listener = _nobody

    def on_change(self, tell: Listener) -> None:
        """Whom to tell when a circuit changes."""
        self._tell = tell

    @property
    def name(self) -> str:
        """The channel's."""
        return self.all[0].channel.name

    @property
    def template_parts(self) -> TemplateParts:
        """Which files of a template the channel reads."""
        return self.all[0].channel.template_parts

    @property
    def short_of_resources(self) -> bool:
        """Whether somebody could not be asked lately, for want of something of our own."""
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
        """Seconds until a send may begin; `inf` where another has to end first."""
        return min(provider.circuit.wait() for provider in self.all)

    async def send(self, request: SendRequest) -> Sent:
        """Deliver, once: the first provider that may be asked, and where nothing was sent, the next.

        Each has `request.timeout` seconds.

        Raises:
            DeliveryError: What ended it, or what the first of them said where none could do it.
                `OutOfService` where no provider may be asked, or those that were known to be down still
                are: no fault of this notification.
        """
        provider_attempts: list[ProviderAttempt] = []
        errors: list[DeliveryError] = []
        try:
            for provider in self.all:
                if not (era := self._enter(provider)):
                    provider_attempts.append(ProviderAttempt(provider.name, NOT_ASKED))
                    continue
                began = perf_counter()
                try:
                    sent = await self._ask(provider, era, request)
                except DeliveryError as error:
                    took = perf_counter() - began
                    provider_attempts.append(
                        ProviderAttempt(provider.name, error.kind, error.code, took)
                    )
                    errors.append(error)
                    if not isinstance(error, NOTHING_SENT):
                        break
                else:
                    return self._told(sent, provider, provider_attempts, perf_counter() - began)
            raise self._untold(errors, provider_attempts)
        finally:
            errors.clear()  # they hold this frame: garbage that only a long pause would find

    def _told(
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

    def _untold(
        self, errors: Sequence[DeliveryError], provider_attempts: Sequence[ProviderAttempt]
    ) -> DeliveryError:
        """What came of it: what ended it; else the first that was news; else that nobody can be asked."""
        ended = [error for error in errors if not isinstance(error, NOTHING_SENT)]
        news = [error for error in errors if not isinstance(error, OutOfService)]
        error = next(iter((*ended, *news, *errors)), None) or OutOfService(self._resting())
        if len(self.all) > 1:
            error.provider_attempts = tuple(provider_attempts)
        return error

    async def check(self) -> Sequence[Finding]:
        """Try every provider without sending anything."""
        found = [labelled(provider.name, self.name, await provider.channel.check()) for provider in self.all]
        return [finding for findings in found for finding in findings]

    async def close(self) -> None:
        """Give back connections."""
        for provider in self.all:
            await provider.channel.close()

    def _enter(self, provider: Provider) -> int:
        before = provider.circuit.phase
        era = provider.circuit.enter()
        self._notice(provider, before)
        return era

    async def _ask(self, provider: Provider, era: int, request: SendRequest) -> Sent:
        limit = request.timeout + OVERTIME  # for a channel that keeps no time
        try:
            sent = await self._overtime.within(limit, provider.channel.send(request))
        except TimeoutError:
            late = OutcomeUnknown(f"the channel did not return within {limit:g}s")
            raise self._judged(provider, era, late, request.attempt.id) from None
        except DeliveryError as error:
            raise self._judged(provider, era, error, request.attempt.id) from None
        except BaseException:  # cancelled, or a bug of ours: the provider is not to blame
            self._learn(provider, lambda: provider.circuit.withdrew(era))
            raise
        before = provider.circuit.phase
        provider.circuit.succeeded(era)
        provider.short_at = -inf
        provider.sent += 1
        self._notice(provider, before)
        return sent

    def _judged(
        self, provider: Provider, era: int, error: DeliveryError, id: UUID
    ) -> DeliveryError:
        """Learn from an error; what it means for the notification."""
        before = provider.circuit.phase
        meaning = self._meaning(provider, era, error, id)
        self._notice(provider, before)
        return meaning

    def _meaning(
        self, provider: Provider, era: int, error: DeliveryError, id: UUID
    ) -> DeliveryError:
        if isinstance(error, Rejected | Deferred):
            provider.circuit.succeeded(era)
            return error
        if isinstance(
            error, LocalShortage
        ):  # a rest is all that helps; known from the first, so a short one
            provider.last_error, provider.short_at = error.message, monotonic()
            provider.circuit.failed(era, misconfigured=True, doubtful=True)
            return error
        if isinstance(error, OutOfService):  # no connection became free: it was not asked
            provider.circuit.withdrew(era)
            return error
        again = provider.repeat_failures.again(id, provider.sent) and not isinstance(
            error, Throttled
        )
        if again and provider.circuit.healthy:
            provider.circuit.withdrew(era)
            return _its_own(error)
        # A suspect that fails while nobody else is served: which of the two is to blame, the next one shows.
        provider.last_error = error.message
        if _failed(provider.circuit, era, error, doubtful=again) or isinstance(
            error, Misconfigured | OutcomeUnknown
        ):
            return error
        return OutOfService(error.message, provider=error.provider, code=error.code)

    def hold(self, provider: Provider, reason: str) -> None:
        """Ask this one no more, by an operator's order."""
        provider.last_error = reason
        self._learn(provider, provider.circuit.hold)

    def reset(self, provider: Provider) -> None:
        """Ask this one again, by an operator's order."""
        self._learn(provider, provider.circuit.reset)

    def _learn(self, provider: Provider, change: Callable[[], None]) -> None:
        before = provider.circuit.phase
        change()
        self._notice(provider, before)

    def _notice(self, provider: Provider, before: Phase) -> None:
        if provider.circuit.phase is not before:
            self.all_closed = all(provider.circuit.phase is Phase.CLOSED for provider in self.all)
            self._tell(provider, before)

    def _resting(self) -> str:
        providers = (
            f"{provider.name} ({provider.last_error})" if provider.last_error else provider.name for provider in self.all
        )
        return f"no provider may be asked just now: {', '.join(providers)}"


def log_change(channel: str, provider: Provider, before: Phase) -> None:
    """Tell of what an operator wants to know, and of each probe only to who debugs."""
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
                "provider down: no attempts are spent on it",
                error=provider.last_error,
                next_probe_in=round(circuit.wait(), 1),
            )
        case Phase.DISABLED:
            bound_log.warning("provider not asked, by an operator's order", reason=provider.last_error)
        case Phase.PROBING:
            bound_log.debug("provider is tried with one notification")
        case Phase.RAMPING:
            bound_log.warning("provider answers again: more is sent step by step")
        case Phase.CLOSED:
            bound_log.warning("provider back to normal", before=before.value)


def _failed(circuit: Circuit, era: int, error: DeliveryError, *, doubtful: bool) -> bool:
    match error:
        case Misconfigured(doubtful=of_one):
            return circuit.failed(era, misconfigured=True, doubtful=of_one or doubtful)
        case Throttled(retry_after=wait):
            return circuit.failed(era, no_sooner_than=wait or 0.0)
        case _:
            return circuit.failed(era, doubtful=doubtful)


def _its_own(error: DeliveryError) -> DeliveryError:
    """What is wrong with this notification only, in a form that spends its attempt."""
    if isinstance(error, Misconfigured):
        return Deferred(error.message, provider=error.provider, code=error.code)
    return error


def _nobody(_: Provider, __: Phase) -> None:
    """Nobody wants to know."""
