"""Reads a section of settings from the environment and from files."""

import os
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from tidings.delivery.errors import ConfigurationError
from tidings.runtime.environment.validation_messages import fault
from tidings.runtime.secret_files import secrets_in_files

Section = TypeVar("Section", bound=BaseSettings)


def section(prefix: str) -> SettingsConfigDict:
    """The configuration of every section; its variables begin with `prefix`."""
    return SettingsConfigDict(
        defer_build=True,  # a command reads a few of many sections
        env_prefix=prefix,
        frozen=True,
        extra="ignore",
        env_ignore_empty=True,
        arbitrary_types_allowed=True,
    )


def read(section: type[Section], prefix: str | None = None) -> Section:
    """Read a section.

    Args:
        prefix: Of its variables, if it is not the section's own.

    Raises:
        ConfigurationError: Names each variable that is wrong.
    """
    prefix = prefix or str(section.model_config["env_prefix"])
    secrets = os.environ.get("TIDINGS_SECRETS_DIR") or None
    if secrets is not None and not Path(secrets).is_dir():
        raise ConfigurationError(f"TIDINGS_SECRETS_DIR: {secrets} is not a folder")
    try:
        return section(
            _secrets_dir=secrets,
            _env_prefix=prefix,
            **secrets_in_files(section, os.environ, prefix),
        )
    except ValidationError as invalid:
        faults = (
            f"{prefix}{error['loc'][0] if error['loc'] else ''}".upper() + fault(error)
            for error in invalid.errors(include_input=False, include_url=False)
        )
        raise ConfigurationError("; ".join(faults)) from None
    except SettingsError as unreadable:
        raise ConfigurationError(_not_json(section, str(unreadable), prefix)) from None


def _not_json(section: type[BaseSettings], message: str, prefix: str) -> str:
    """pydantic-settings names the field and not the variable."""
    field = next(name for name in section.model_fields if f'"{name}"' in message)
    return f"{prefix}{field}".upper() + ": it is not JSON"
