"""Settings of the console."""

from typing import Annotated

from pydantic import AfterValidator
from pydantic_settings import BaseSettings

from tidings.runtime.environment.formats import Duration, is_url
from tidings.runtime.environment.reading import section


def _url(url: str) -> str:
    if url and not is_url(url, "https", "http"):
        raise ValueError("write the console's URL as browsers see it: https://tidings.example.com")
    return url.rstrip("/")


class ConsoleSettings(BaseSettings):
    """The console."""

    model_config = section("TIDINGS_CONSOLE_")

    enabled: bool = True
    """Whether the role `api` serves the console, below `/console`."""
    url: Annotated[str, AfterValidator(_url)] = ""
    """URL of the service as browsers see it, e.g. `https://tidings.example.com`: alerts link to it, and if it begins with
    `https` cookies are sent over TLS only."""
    session: Duration = 12 * 3600.0
    """How long a session lasts."""
    idle: Duration = 3600.0
    """How long a session lasts without a request."""
