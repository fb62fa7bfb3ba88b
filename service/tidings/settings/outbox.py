"""Settings of the relay that publishes from a producer's own database."""

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings

from tidings.delivery.delay import seconds
from tidings.runtime.environment.formats import Duration, NumberFormat, is_url
from tidings.runtime.environment.reading import section


def _database_url(url: SecretStr | None) -> SecretStr | None:
    if url is not None and not is_url(url.get_secret_value(), "postgresql", "postgres"):
        raise ValueError("write it like postgresql://user:password@host:5432/database")
    return url


def _kept(value: object) -> object:
    if not isinstance(value, str):
        return value
    return 0.0 if value.strip() in {"0", "none"} else seconds(value)


class OutboxSettings(BaseSettings):
    """The outbox in a producer's database."""

    model_config = section("TIDINGS_OUTBOX_")

    dsn: Annotated[SecretStr | None, AfterValidator(_database_url)] = None
    """The producer's database for `tidings outbox`, instead of `--dsn`: `postgresql://user:password@host:port/database`.
    Encrypted as for `TIDINGS_DATABASE_URL`."""
    keep: Annotated[
        float,
        BeforeValidator(_kept),
        Field(ge=0, allow_inf_nan=False),
        NumberFormat.DURATION,
    ] = 0.0
    """How long published rows stay in the table; `0`: they are deleted when RabbitMQ has confirmed them."""
    poll: Duration = 1.0
    """How often the relay looks at the table if nothing wakes it."""
    app_id: str | None = Field(default=None, max_length=255)
    """The producer's name in its dead letters (AMQP's `app_id`); by default the database's name."""
