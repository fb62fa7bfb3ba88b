"""How to reach PostgreSQL, and how statements are batched."""

from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings

from tidings.runtime.environment.reading import section
from tidings.runtime.environment.written import Duration, is_url


def _database_url(url: SecretStr) -> SecretStr:
    if not is_url(url.get_secret_value(), "postgresql", "postgres"):
        raise ValueError("write it like postgresql://user:password@host:5432/database")
    return url


class LedgerSettings(BaseSettings):
    """PostgreSQL."""

    model_config = section("TIDINGS_")

    database_url: Annotated[SecretStr, AfterValidator(_database_url)] = SecretStr(
        "postgresql://tidings@localhost:5432/tidings"
    )
    """`postgresql://user:password@host:port/database`. The certificate of another machine is verified:
    add `?sslrootcert=FILE` for an authority of your own, `?sslmode=disable` to do without TLS."""
    database_pool_size: int = Field(default=6, ge=2, le=100)
    """Connections a process may hold."""
    database_timeout: Duration = 10.0
    """How long one statement may take."""
    batch_size: int = Field(default=200, ge=1, le=1000)
    """Most notifications claimed or recorded in one statement."""
    idempotency_window: Duration = 7 * 86_400.0
    """How long an `idempotency_key` is remembered, for each channel and recipient."""
    requeue_after: Duration = 900.0
    """How long a notification waits for a message that does not come, past its retry delay and its lane's
    backlog, until the message is taken for lost and published again. Longer than workers keep one in hand (10m)."""
