"""Common parts of the examples of several channels. Each model has its own examples."""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

Examples: TypeAlias = Mapping[str, Mapping[str, Any]]
"""Fields by the example's name, without id, version and channel."""

PHONE: Final = "+14155550123"
COMMON: Final[dict[str, Any]] = {
    "priority": "high",
    "category": "receipt",
    "user_id": "user-4711",
    "entity": {"type": "order", "id": "10042"},
    "metadata": {"campaign": "spring-2026", "variant": 2, "trial": False},
    "max_retries": 3,
}
SCHEDULED: Final[dict[str, Any]] = {
    "scheduled_at": "2026-12-24T18:00:00+01:00",
    "expires_at": "2026-12-24T20:00:00+01:00",
}
