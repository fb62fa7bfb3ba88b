"""Prometheus metrics. Their children are created beforehand, so that the hot path looks nothing up."""

from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from types import MappingProxyType
from typing import Final

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from tidings.delivery.circuit import Phase
from tidings.delivery.errors import (
    Deferred,
    LocalShortage,
    MalformedNotification,
    Misconfigured,
    OutcomeUnknown,
    OutOfService,
    Postponed,
    Rejected,
    Throttled,
    Unavailable,
)
from tidings.delivery.outcome import Outcome, Reason, Released, RetryLater, Sent, Undeliverable
from tidings.telemetry.api_metrics import ApiMetrics
from tidings.telemetry.histogram import Histogram
from tidings.telemetry.log_writer import DroppedLines

CONTENT_TYPE: Final = prometheus_client.CONTENT_TYPE_LATEST

SENDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60)
"""Buckets of one send, in seconds."""
DELIVERIES: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 900, 3600, 4 * 3600, 24 * 3600)
"""Buckets from accepted to sent, in seconds: retries take minutes and hours."""
LATENESS: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300)
"""Buckets of how late a scheduled notification was published, in seconds."""

RUN_RESULTS: Final = ("on_time", "late", "skipped", "failed")
"""Results of a schedule's run."""

UNKNOWN_CHANNEL: Final = "unknown"
"""Label of a dead letter whose channel is unknown."""

_OUTCOMES: Final = ("sent", "retry_later", "released", *(reason.value for reason in Reason))
KINDS: Final = (
    *(error.kind for error in (Rejected, Unavailable, Throttled, Deferred, OutcomeUnknown)),
    *(
        error.kind
        for error in (Misconfigured, OutOfService, Postponed, LocalShortage, MalformedNotification)
    ),
    *("expired", "not_now", "unexpected"),
)
"""Classes of error that an attempt may end with."""
_CIRCUIT_STATES: Final = MappingProxyType(
    {Phase.CLOSED: 0, Phase.PROBING: 1, Phase.RAMPING: 1, Phase.OPEN: 2, Phase.DISABLED: 2}
)


class ChannelMetrics:
    """The metrics of one channel, from `Metrics.channel`."""

    def __init__(self, name: str, families: "_Families") -> None:
        self._attempts: Mapping[str, Counter] = MappingProxyType(
            {outcome: families.attempts.labels(name, outcome) for outcome in _OUTCOMES}
        )
        self._tests = {outcome: families.tests.labels(name, outcome) for outcome in _OUTCOMES}
        self._failures = {kind: families.failures.labels(name, kind) for kind in KINDS}
        self._failures_of_any_kind = families.failures
        self._name = name
        self._send_seconds = families.send_seconds.labels(name)
        self._delivery_seconds = families.delivery_seconds.labels(name)
        self._replay_seconds = families.replay_seconds.labels(name)
        self._duplicates = families.duplicates.labels(name)
        self._claim_conflicts = families.claim_conflicts.labels(name)
        self._malformed = families.malformed.labels(name)
        self.in_flight: Final = families.in_flight.labels(name)
        """Sends under way; `set_function` spares the hot path."""
        self.suspended: Final = families.suspended.labels(name)
        """1 while the channel is not consumed: paused by an operator, or no provider is usable."""
        self._circuits = families.circuits

    def circuit(self, provider: str, phase: Phase) -> None:
        """Set the state of a provider's circuit."""
        self._circuits.labels(self._name, provider).set(_CIRCUIT_STATES[phase])

    def attempt(
        self,
        outcome: Outcome | Released,
        seconds: float,
        since_accepted: float | None,
        *,
        replayed: bool = False,
    ) -> None:
        """An attempt ended after `seconds`, `since_accepted` seconds after it could be sent, if that is known.

        Args:
            replayed: It was a dead letter before, perhaps for days, so its time says nothing about the speed of delivery.
        """
        if isinstance(outcome, Undeliverable) and outcome.untried:
            return  # no attempt, and its dead letter is counted
        self._send_seconds.observe(seconds)
        match outcome:
            case Sent():
                self._attempts["sent"].inc()
                took = self._replay_seconds if replayed else self._delivery_seconds
                if since_accepted is not None:
                    took.observe(since_accepted)
            case RetryLater(failure=failure):
                self._attempts["retry_later"].inc()
                self._failed(failure.kind)
            case Undeliverable(reason=reason, failure=failure):
                self._attempts[reason.value].inc()
                self._failed(failure.kind)
            case Released(failure=failure):
                self._attempts["released"].inc()
                self._failed(failure.kind)

    def test(self, outcome: Outcome) -> None:
        """An attempt of a test notification ended: it is counted apart, and in no other metric of attempts."""
        match outcome:
            case Sent():
                ended = "sent"
            case RetryLater():
                ended = "retry_later"
            case Undeliverable(reason=reason):
                ended = reason.value
        self._tests[ended].inc()

    def _failed(self, kind: str) -> None:
        counter = self._failures.get(kind)
        (counter or self._failures_of_any_kind.labels(self._name, kind)).inc()

    def duplicate(self) -> None:
        """A message was acknowledged without a send: its notification had moved on already."""
        self._duplicates.inc()

    def claim_conflict(self) -> None:
        """A message was postponed without spending an attempt."""
        self._claim_conflicts.inc()

    def malformed(self) -> None:
        """A message could not be read as a notification."""
        self._malformed.inc()


class _Families:
    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, meaning: str, *labels: str) -> Counter:
            return Counter(name, meaning, labels, registry=registry)

        def gauge(name: str, meaning: str, *labels: str) -> Gauge:
            return Gauge(name, meaning, labels, registry=registry)

        def histogram(
            name: str, meaning: str, buckets: tuple[float, ...], *labels: str
        ) -> Histogram:
            return Histogram(name, meaning, labels, bounds=buckets, registry=registry)

        self.attempts = counter("tidings_attempts", "Attempts by outcome.", "channel", "outcome")
        self.failures = counter(
            "tidings_failures", "Failed attempts by class of error.", "channel", "kind"
        )
        self.tests = counter(
            "tidings_test_attempts",
            "Attempts of test notifications by outcome.",
            "channel",
            "outcome",
        )
        self.send_seconds = histogram(
            "tidings_send_seconds", "Seconds of one attempt.", SENDS, "channel"
        )
        self.delivery_seconds = histogram(
            "tidings_delivery_seconds",
            "Seconds from accepted, or due, to accepted by the provider; only if the time of acceptance is known.",
            DELIVERIES,
            "channel",
        )
        self.replay_seconds = histogram(
            "tidings_replay_delivery_seconds",
            "The same for replayed dead letters.",
            DELIVERIES,
            "channel",
        )
        self.duplicates = counter(
            "tidings_duplicates",
            "Messages acknowledged without a send: their notification had moved on.",
            "channel",
        )
        self.claim_conflicts = counter(
            "tidings_claim_conflicts",
            "Messages postponed because another worker has claimed the notification.",
            "channel",
        )
        self.malformed = counter("tidings_malformed", "Messages that could not be read.", "channel")
        self.in_flight = gauge("tidings_in_flight", "Sends under way.", "channel")
        self.suspended = gauge(
            "tidings_channel_suspended",
            "1 while the channel is not consumed: paused by an operator, or no provider is usable.",
            "channel",
        )
        self.circuits = gauge(
            "tidings_circuit_state",
            "State of a provider's circuit: 0 closed, 1 probing or ramping, 2 open or disabled.",
            "channel",
            "provider",
        )
        self.dead_letters = counter(
            "tidings_dead_letters", "Dead letters archived.", "channel", "reason"
        )
        self.open_dead_letters = gauge(
            "tidings_dead_letters_open",
            "Open dead letters; reported by schedulers.",
            "channel",
            "reason",
        )
        self.oldest_dead_letter = gauge(
            "tidings_dead_letters_oldest_seconds",
            "Age of the oldest open dead letter; reported by schedulers.",
            "channel",
        )
        # Registered by schedulers only: the 0 of a worker would hide that no scheduler runs.
        self.scheduled = Gauge(
            "tidings_scheduled",
            "Notifications scheduled for later; reported by schedulers.",
            registry=None,
        )
        self.overdue = Gauge(
            "tidings_scheduled_overdue",
            "Notifications due for more than a minute and not published; reported by schedulers.",
            registry=None,
        )
        self.lag = Gauge(
            "tidings_scheduler_lag_seconds",
            "Seconds by which the notification or schedule that waits longest is late; reported by schedulers.",
            registry=None,
        )
        self.schedules_overdue = Gauge(
            "tidings_schedules_overdue",
            "Schedules due for more than a minute and not run; reported by schedulers.",
            registry=None,
        )
        self.dispatching_paused = Gauge(
            "tidings_dispatching_paused",
            "1 while an operator has paused dispatching; reported by schedulers.",
            registry=None,
        )
        self.schedule_runs = counter(
            "tidings_schedule_runs",
            "Runs of schedules: on_time, late, skipped (missed) or failed (not valid).",
            "result",
        )
        self.partitions_end = Gauge(
            "tidings_partitions_end_seconds",
            "Seconds until the end of the last partition; reported by schedulers.",
            registry=None,
        )
        self.broker_up = gauge(
            "tidings_broker_up", "1 while this process is connected to RabbitMQ."
        )
        self.ledger_up = gauge(
            "tidings_ledger_up", "1 while PostgreSQL answered this process last."
        )
        self.dispatched = counter(
            "tidings_scheduler_dispatched", "Notifications published when due."
        )
        self.requeued = counter(
            "tidings_requeued",
            "Notifications published again because their message was lost.",
            "channel",
        )
        self.inbox_hints_lost = counter(
            "tidings_inbox_hints_lost",
            "Users to whose live connections a change of their inbox was not announced: they learn of it within 15 seconds.",
        )
        self.lateness = histogram(
            "tidings_scheduler_lateness_seconds",
            "Seconds by which scheduled notifications were published late.",
            LATENESS,
        ).labels()


class _LogLines(Collector):
    """Dropped log lines, read from their counter."""

    def __init__(self, dropped: DroppedLines) -> None:
        self._dropped = dropped

    def collect(self) -> Iterator[Metric]:
        family = CounterMetricFamily(
            "tidings_log_lines_dropped",
            "Dropped log lines: logging never holds up delivery.",
            labels=["reason"],
        )
        for reason, lines in self._dropped.counts.items():
            family.add_metric([reason], lines)
        yield family


class Metrics:
    """The metrics of one process, in a registry of their own.

    Args:
        dropped: The counter of dropped log lines.
    """

    def __init__(self, dropped: DroppedLines | None = None) -> None:
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # they double the series
        self.registry = CollectorRegistry()
        self._families = _Families(self.registry)
        self.api: Final = ApiMetrics(self.registry)
        self._channels: dict[str, ChannelMetrics] = {}
        self._registered: set[Gauge] = set()
        self.broker_up: Final = self._families.broker_up
        self.ledger_up: Final = self._families.ledger_up
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        self.registry.register(_LogLines(dropped or DroppedLines()))
        build = Gauge(
            "tidings_build_info", "Version of Tidings.", ["version"], registry=self.registry
        )
        build.labels(version("tidings")).set(1)

    def channel(self, name: str) -> ChannelMetrics:
        """The metrics of a channel; the same object every time."""
        if name not in self._channels:
            self._channels[name] = ChannelMetrics(name, self._families)
        return self._channels[name]

    def dead_letter(self, channel: str | None, reason: Reason, count: int = 1) -> None:
        """Count archived dead letters."""
        self._families.dead_letters.labels(channel or UNKNOWN_CHANNEL, reason.value).inc(count)

    def expect(self, channels: Iterable[str]) -> None:
        """Start every counter of these channels at 0: Prometheus sees no increase from nothing to one."""
        for channel in (*channels, UNKNOWN_CHANNEL):
            for reason in Reason:
                self._families.dead_letters.labels(channel, reason.value)
            self._families.requeued.labels(channel)
        for result in RUN_RESULTS:
            self._families.schedule_runs.labels(result)

    def waiting(self, scheduled: int, overdue: int) -> None:
        """So many notifications wait for their time, or should have been published."""
        self._set_by_scheduler(self._families.scheduled, scheduled)
        self._set_by_scheduler(self._families.overdue, overdue)

    def dispatching(self, lag: float, schedules_overdue: int, *, paused: bool) -> None:
        """How far the schedulers are behind, in seconds and schedules."""
        self._set_by_scheduler(self._families.lag, lag)
        self._set_by_scheduler(self._families.schedules_overdue, schedules_overdue)
        self._set_by_scheduler(self._families.dispatching_paused, int(paused))

    def schedule_runs(self, result: str, runs: int = 1) -> None:
        """Runs of schedules had this result."""
        self._families.schedule_runs.labels(result).inc(runs)

    def partitions_end(self, seconds: float) -> None:
        """In so many seconds the last week ends that has a partition."""
        self._set_by_scheduler(self._families.partitions_end, seconds)

    def _set_by_scheduler(self, gauge: Gauge, value: float) -> None:
        if gauge not in self._registered:
            self._registered.add(gauge)
            self.registry.register(gauge)
        gauge.set(value)

    def open_dead_letters(self, found: Mapping[tuple[str, str], tuple[int, float]]) -> None:
        """By channel and reason, how many dead letters are open, and the seconds that the oldest has been."""
        counts, ages = self._families.open_dead_letters, self._families.oldest_dead_letter
        for gauge in (counts, ages):  # a group that was settled is 0, not gone
            for family in gauge.collect():
                for sample in family.samples:
                    gauge.labels(**sample.labels).set(0)
        oldest: dict[str, float] = {}
        for (channel, reason), (count, age) in found.items():
            counts.labels(channel or UNKNOWN_CHANNEL, reason).set(count)
            oldest[channel] = max(age, oldest.get(channel, 0.0))
        for channel, age in oldest.items():
            ages.labels(channel or UNKNOWN_CHANNEL).set(age)

    def dispatched(self, lateness: float) -> None:
        """The scheduler published a notification, `lateness` seconds after it was due."""
        self._families.dispatched.inc()
        self._families.lateness.observe(max(0.0, lateness))

    def inbox_hints_lost(self, users: int) -> None:
        """Changes of so many users' inboxes were not announced."""
        self._families.inbox_hints_lost.inc(users)

    def requeued(self, channel: str) -> None:
        """A notification is published again: its message was lost."""
        self._families.requeued.labels(channel).inc()

    def render(self) -> bytes:
        """Everything in Prometheus' text format, to be served as `CONTENT_TYPE`."""
        return generate_latest(self.registry)
