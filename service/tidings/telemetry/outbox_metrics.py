"""The metrics of an outbox relay, read when they are asked for."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


@dataclass(frozen=True, slots=True)
class RelayFigures:
    """What a relay has done since it was started, and what it last saw in the table."""

    published: int = 0
    failed: int = 0
    postponed: int = 0
    pending_rows: int | None = None
    """None until they were counted."""
    failed_rows: int | None = None
    oldest: float | None = None
    """Seconds since the oldest pending row was inserted."""


class OutboxMetrics(Collector):
    """Registers itself.

    Args:
        registry: Of the process's metrics.
        figures: Gives them as they are now.
    """

    def __init__(self, registry: CollectorRegistry, figures: Callable[[], RelayFigures]) -> None:
        self._figures: Final = figures
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """All of them; what was not counted yet is left out."""
        now = self._figures()
        yield CounterMetricFamily(
            "tidings_outbox_relay_published", "Outbox rows published and confirmed.", now.published
        )
        yield CounterMetricFamily(
            "tidings_outbox_relay_failed", "Outbox rows that became failed.", now.failed
        )
        yield CounterMetricFamily(
            "tidings_outbox_relay_postponed",
            "Publishes of outbox rows that RabbitMQ refused for now.",
            now.postponed,
        )
        if now.pending_rows is None:
            return
        yield GaugeMetricFamily(
            "tidings_outbox_pending", "Rows that wait in the outbox.", now.pending_rows
        )
        yield GaugeMetricFamily(
            "tidings_outbox_failed", "Rows of the outbox that are failed.", now.failed_rows
        )
        yield GaugeMetricFamily(
            "tidings_outbox_oldest_seconds",
            "Seconds since the oldest pending row was inserted; 0 if none is pending.",
            now.oldest,
        )
