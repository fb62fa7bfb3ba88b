"""Our histogram tells Prometheus what prometheus_client's own would."""

import prometheus_client
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from tidings.telemetry.histogram import Histogram

BOUNDS = (0.01, 0.1, 1, 10)


@given(st.lists(st.sampled_from([*BOUNDS, 0.0, 0.05, 0.5, 99.0]) | st.floats(0, 20)))
def test_it_counts_as_the_library_does(values: list[float]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    own = Histogram("seconds", "How long.", ["channel"], bounds=BOUNDS, registry=ours)
    library = prometheus_client.Histogram(
        "seconds", "How long.", ["channel"], buckets=BOUNDS, registry=theirs
    )
    for value in values:
        own.labels("email").observe(value)
        library.labels("email").observe(value)
    own.labels("sms")
    library.labels("sms")
    assert samples(ours) == samples(theirs)


def samples(registry: CollectorRegistry) -> dict[str, float]:
    return {
        f"{sample.name}{sorted(sample.labels.items())}": sample.value
        for family in registry.collect()
        for sample in family.samples
        if not sample.name.endswith("_created")
    }
