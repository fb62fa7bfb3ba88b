"""Settings of RabbitMQ."""

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, NoDecode

from tidings.runtime.environment.formats import Duration, is_url, words
from tidings.runtime.environment.reading import section


def _amqp_urls(urls: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    for url in urls:
        text = url.get_secret_value()
        if not is_url(text, "amqp", "amqps") or not urlsplit(text).hostname:
            raise ValueError("write it like amqp://user:password@host:5672/vhost")
    return urls


def _management_url(url: SecretStr | None) -> SecretStr | None:
    text = url.get_secret_value() if url else ""
    if text and not (is_url(text, "http", "https") and urlsplit(text).hostname):
        raise ValueError("write it like http://user:password@host:15672")
    return url


class BrokerSettings(BaseSettings):
    """RabbitMQ."""

    model_config = section("TIDINGS_")

    amqp_url: Annotated[
        tuple[SecretStr, ...],
        NoDecode,
        BeforeValidator(words),
        Field(min_length=1),
        AfterValidator(_amqp_urls),
    ] = (SecretStr("amqp://guest:guest@localhost:5672/"),)
    """One URL, or several of one cluster separated by commas, tried in turn. `amqps://` verifies certificates."""
    amqp_heartbeat: int = Field(default=30, ge=5, le=600)
    """Seconds between heartbeats."""
    amqp_timeout: Duration = 15.0
    """Timeout of one RabbitMQ operation: connect, declare, publisher confirm."""
    amqp_ca_file: Path | None = None
    """Certificate authority file for `amqps://`, if the system's authorities don't cover it."""
    amqp_backoff_max: Duration = 30.0
    """Longest wait between two connection attempts."""
    management_url: Annotated[SecretStr | None, AfterValidator(_management_url)] = None
    """RabbitMQ's management API, `http://user:password@host:15672`, used by `tidings topology` and
    `tidings doctor` only. Derived from the first AMQP URL if unset."""

    @property
    def urls(self) -> tuple[str, ...]:
        """The URLs with their passwords."""
        return tuple(url.get_secret_value() for url in self.amqp_url)

    @property
    def management(self) -> str:
        """The management API's URL with its password."""
        if self.management_url is not None:
            return self.management_url.get_secret_value()
        parts = urlsplit(self.urls[0])
        scheme, port = ("https", 15671) if parts.scheme == "amqps" else ("http", 15672)
        userinfo = parts.netloc.rpartition("@")[0] or "guest:guest"
        host = parts.hostname or "localhost"
        return f"{scheme}://{userinfo}@{f'[{host}]' if ':' in host else host}:{port}"
