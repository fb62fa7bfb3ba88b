"""What a contender's own ledger says of its attempts: the same question of all of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.results import percentile
from benchmarks.servers import Servers

NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One row."""

    id: str
    number: int
    began: float
    """Seconds since the epoch."""
    ended: float


def attempts(servers: Servers, table: str) -> Sequence[Attempt]:
    """All that are recorded."""
    rows = servers.sql(
        "SELECT notification_id::text, attempt, extract(epoch FROM started_at)::float8, "
        f"duration_ms::float8 FROM {table}"
    )
    return [Attempt(name, number, began, began + took / 1000) for name, number, began, took in rows]


def milliseconds(latencies: Sequence[float]) -> dict[str, float]:
    """Their percentiles."""
    named = {"p50_ms": 0.5, "p99_ms": 0.99, "p999_ms": 0.999}
    return {name: percentile(latencies, share) * 1000 for name, share in named.items()}
