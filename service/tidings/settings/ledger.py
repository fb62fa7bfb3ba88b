"""Settings of PostgreSQL: connection, batches, retention."""

from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, NoDecode

from tidings.delivery.delay import seconds
from tidings.delivery.states import FINISHED
from tidings.runtime.environment.formats import Duration, NumberFormat, is_url, words
from tidings.runtime.environment.reading import section
from tidings.runtime.sealing import Seals, key_of
from tidings_events.notifications.fields import Slug

DAY = 86_400.0

Value = TypeVar("Value")


def _database_url(url: SecretStr) -> SecretStr:
    if not is_url(url.get_secret_value(), "postgresql", "postgres"):
        raise ValueError("write it like postgresql://user:password@host:5432/database")
    return url


def _sealing_keys(keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    for key in keys:
        key_of(key.get_secret_value())
    return keys


def _period(value: object) -> object:
    if not isinstance(value, str):
        return value
    return 0.0 if value.strip() in {"0", "none"} else seconds(value)


def _a_day_at_least(period: float) -> float:
    if 0 < period < DAY:
        raise ValueError("write a day (1d) or longer, or 0 to keep it for ever")
    return period


def _of_states_that_end(periods: dict[str, float]) -> dict[str, float]:
    if unknown := periods.keys() - FINISHED:
        raise ValueError(
            f"{', '.join(sorted(unknown))}: no state in which a notification ends; these are {', '.join(sorted(FINISHED))}"
        )
    return periods


def _by_state(periods: object) -> object:
    return periods if isinstance(periods, dict) else {"*": periods}


def _of_a_tenant(periods: dict[str, float]) -> dict[str, float]:
    _of_states_that_end({state: period for state, period in periods.items() if state != "*"})
    return periods


def _every(periods: Any) -> list[float]:
    """All of them, however they are nested."""
    if not isinstance(periods, dict):
        return [periods]
    return [period for inner in periods.values() for period in _every(inner)]


Period = Annotated[
    float,
    BeforeValidator(_period),
    Field(ge=0, allow_inf_nan=False),
    AfterValidator(_a_day_at_least),
    NumberFormat.DURATION,
]
"""Seconds of retention; 0: for ever."""
TenantPeriods = Annotated[
    dict[str, Period], BeforeValidator(_by_state), AfterValidator(_of_a_tenant)
]
"""A tenant's, by state, `*` for the others; one period alone is that of all states."""


class LedgerSettings(BaseSettings):
    """PostgreSQL."""

    model_config = section("TIDINGS_")

    database_url: Annotated[SecretStr, AfterValidator(_database_url)] = SecretStr(
        "postgresql://tidings@localhost:5432/tidings"
    )
    """`postgresql://user:password@host:port/database`. The server's certificate is verified unless it runs on this
    machine: add `?sslrootcert=FILE` for your own authority, `?sslmode=disable` to connect without TLS."""
    sealing_keys: Annotated[
        tuple[SecretStr, ...], NoDecode, BeforeValidator(words), AfterValidator(_sealing_keys)
    ] = ()
    """Keys that seal the URLs of alert rules in the database: 32 random bytes in Base64 (`openssl rand -base64 32`),
    separated by commas. The first seals, each opens. Archivers, the API and whoever runs `tidings alerts` need them. Empty:
    the URLs are stored as they are."""
    database_pool_size: int = Field(default=6, ge=3, le=100)
    """Most connections of a process; an API has as many again for what it accepts, and for live connections. A scheduler
    keeps one connection for LISTEN, and one for retention."""
    database_timeout: Duration = 10.0
    """Timeout of one statement."""
    batch_size: int = Field(default=200, ge=1, le=1000)
    """Most notifications that one statement claims or records."""
    idempotency_window: Duration = 7 * 86_400.0
    """How long an `idempotency_key` is remembered, for each tenant, channel and recipient."""
    requeue_after: Duration = 900.0
    """How long a notification must be overdue (past its retry delay, and its lane empty since) before its message counts
    as lost and is published again. Must exceed 10 minutes, for which a worker may hold a message."""
    retention: Period = Field(default=30 * DAY, validate_default=True)
    """How long a finished notification and a closed dead letter are kept; `0`: for ever. Unfinished notifications, and
    those with an open dead letter, are always kept. Duplicates are recognised by the stored notification: keep it for
    longer than a message may be under way or be published again."""
    retention_by_state: Annotated[dict[str, Period], AfterValidator(_of_states_that_end)] = Field(
        default_factory=dict
    )
    """Other periods for notifications that have ended in some states, as JSON: `{"failed": "90d", "cancelled": "7d"}`."""
    retention_by_tenant: dict[Slug, TenantPeriods] = Field(default_factory=dict)
    """Periods of some tenants in place of all others, as JSON: `{"acme": "90d", "shop": {"*": "14d", "failed": "30d"}}`. A
    state that a tenant doesn't name, where it has no `*`, has the period of all. A longer period of a busy tenant keeps
    the partitions of all: set `TIDINGS_RETENTION` to it instead."""

    inbox_keep_read: Period = Field(default=30 * DAY, validate_default=True)
    """How long a message of an inbox is kept that was read or archived, from when it came; `0`: for ever."""
    inbox_keep_unread: Period = Field(default=90 * DAY, validate_default=True)
    """How long a message of an inbox is kept that was not read, from when it came; `0`: for ever."""

    @property
    def seals(self) -> Seals:
        """What seals secrets in the database."""
        return Seals([key_of(key.get_secret_value()) for key in self.sealing_keys])

    rollup_retention: Period = Field(default=400 * DAY, validate_default=True)
    """How long rollups, from which statistics are read, are kept; `0`: for ever. Those of a minute are kept for four days
    in any case, wider ones longer."""

    @field_validator("retention", "retention_by_state", "retention_by_tenant")
    @classmethod
    def _keys_outlive_no_holder(cls, value: Value, info: ValidationInfo) -> Value:
        """A key whose holder is deleted could not be taken over by the notification that is sent in its place."""
        window = info.data.get("idempotency_window", 0.0)
        if any(0 < period < window for period in _every(value)):
            raise ValueError(
                f"write TIDINGS_IDEMPOTENCY_WINDOW ({window / DAY:g}d) or longer, or 0 to keep it for ever:"
                " a notification is kept as long as its idempotency key"
            )
        return value
