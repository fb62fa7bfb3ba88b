"""A histogram for the hot path: one search and one addition per value; prometheus_client's takes three locks."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate
from math import inf
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString


class Observations:
    """The values under one set of labels. For one thread."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count a value in the first bucket whose bound it does not exceed."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def samples(self) -> tuple[Sequence[tuple[str, float]], float]:
        """The cumulative count by upper bound, and the sum of all values."""
        bounds = map(floatToGoString, (*self._bounds, inf))
        return list(zip(bounds, accumulate(self._counts), strict=True)), self._sum


class Histogram(Collector):
    """A family of histograms.

    Args:
        bounds: Upper bounds of the buckets, ascending; one without a bound comes last.
        labels: The names of its labels.
    """

    def __init__(
        self,
        name: str,
        meaning: str,
        labels: Sequence[str] = (),
        *,
        bounds: Sequence[float],
        registry: CollectorRegistry,
    ) -> None:
        self._name: Final = name
        self._meaning: Final = meaning
        self._labels: Final = labels
        self._bounds: Final = bounds
        self._known: dict[tuple[str, ...], Observations] = {}
        registry.register(self)

    def labels(self, *values: str) -> Observations:
        """The observations under these labels; the same object every time."""
        return self._known.setdefault(values, Observations(self._bounds))

    def describe(self) -> Iterator[HistogramMetricFamily]:
        """The family, for the registry to know its name."""
        yield HistogramMetricFamily(self._name, self._meaning, labels=self._labels)

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """All values."""
        family = HistogramMetricFamily(self._name, self._meaning, labels=self._labels)
        for values, seen in self._known.items():
            family.add_metric(values, *seen.samples())
        yield family
