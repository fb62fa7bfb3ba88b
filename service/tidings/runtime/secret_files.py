"""Secrets from files: `TIDINGS_EMAIL_PASSWORD_FILE` names the file that holds `TIDINGS_EMAIL_PASSWORD`.

Everyone who may list a process's environment can read a variable, and so can every process it starts.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, get_args

from pydantic import SecretStr
from pydantic_settings import BaseSettings

from tidings.delivery.errors import ConfigurationError

SUFFIX: Final = "_FILE"


def secret_names(
    section: type[BaseSettings], prefix: str | None = None
) -> Iterator[tuple[str, str]]:
    """The secret fields of a section, each with its variable.

    Args:
        prefix: Of the variables; the section's own if None.
    """
    prefix = prefix or str(section.model_config["env_prefix"])
    for field, info in section.model_fields.items():
        if _is_secret(info.annotation):
            yield field, f"{prefix}{field}".upper()


def secrets_in_files(
    section: type[BaseSettings], environment: Mapping[str, str], prefix: str | None = None
) -> dict[str, Any]:
    """The contents of the files that the environment names, by field, without trailing newlines.

    Raises:
        ConfigurationError: A file can't be read, or the secret is set in both ways.
    """
    return {
        field: _read(variable, environment)
        for field, variable in secret_names(section, prefix)
        if environment.get(variable + SUFFIX)
    }


def _read(variable: str, environment: Mapping[str, str]) -> str:
    if environment.get(variable):
        raise ConfigurationError(f"{variable}: {variable}{SUFFIX} is set too; unset one of them")
    path = Path(environment[variable + SUFFIX])
    try:
        return path.read_text("utf-8").strip()
    except OSError as error:
        raise ConfigurationError(
            f"{variable}{SUFFIX}: {path} can't be read ({error.strerror})"
        ) from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{variable}{SUFFIX}: {path} is not text in UTF-8") from None


def _is_secret(annotation: object) -> bool:
    """Whether it is a secret, or holds one: `SecretStr`, `SecretStr | None`, `tuple[SecretStr, ...]`."""
    return annotation is SecretStr or any(_is_secret(part) for part in get_args(annotation))
