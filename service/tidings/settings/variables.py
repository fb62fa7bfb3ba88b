"""Every environment variable for display: meaning, default and current value."""

import ast
import inspect
import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from itertools import pairwise
from types import MappingProxyType, ModuleType
from typing import Annotated, Any, Final, get_args, get_origin
from urllib.parse import urlsplit

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from tidings.runtime.secret_files import SUFFIX, secret_names
from tidings.settings import NumberFormat, Settings, prefix_of, sections

HIDDEN: Final = "••••••"
KUBERNETES: Final = re.compile(
    r"TIDINGS(?:_\w+)?_(?:SERVICE_(?:HOST|PORT)\w*|PORT(?:_\d+_(?:TCP|UDP)\w*)?)"
)
_UNITS: Final = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable."""

    name: str
    section: str
    """The section's subject."""
    meaning: str
    default: str
    """As written in the environment; empty if there is none."""
    value: str
    """The current value, secrets hidden."""
    is_set: bool
    """Whether it is set, even to its default."""


def variables(settings: Settings) -> Iterator[Variable]:
    """All of them, section by section.

    Raises:
        ConfigurationError: A value is wrong; names the variable.
    """
    present = _sections(settings)
    for section in sections():
        prefix = str(section.model_config["env_prefix"])
        for name, field in section.model_fields.items():
            yield Variable(
                name=f"{prefix}{name}".upper(),
                section=(section.__doc__ or "").strip(),
                meaning=_meaning(section, name),
                default=written(field, field.get_default(call_default_factory=True)),
                value=written(field, getattr(present[section], name)),
                is_set=name in present[section].model_fields_set,
            )
    for channel in settings.channels:
        for provider in settings.providers(channel)[1:]:
            yield from _of_fallback(settings, channel, provider)


@dataclass(frozen=True, slots=True)
class Unknown:
    """An environment variable with our prefix that Tidings doesn't know."""

    name: str
    nearest: str | None
    """The known variable with the most similar name."""

    @property
    def message(self) -> str:
        """The warning for operators."""
        meant = f"; did you mean {self.nearest}?" if self.nearest else ""
        return f"{self.name} is set, but Tidings has no such variable{meant}"


def unknown(settings: Settings, environment: Mapping[str, str]) -> Iterator[Unknown]:
    """Set variables with our prefix that Tidings doesn't know: their intended settings have their defaults.

    Raises:
        ConfigurationError: The value of a known variable is wrong; names it.
    """
    known = set(_known(settings))
    for name in sorted(environment):
        if name.startswith("TIDINGS_") and name not in known and not _of_others(name):
            yield Unknown(name, next(iter(get_close_matches(name, known, n=1, cutoff=0.75)), None))


def _known(settings: Settings) -> Iterator[str]:
    yield "TIDINGS_SECRETS_DIR"
    for section in sections():
        yield from _names(section)
    for channel, section in ((name, type(section)) for name, section in settings.channels.items()):
        for provider in settings.providers(channel)[1:]:
            prefix = prefix_of(channel, provider)
            yield from _names(section, prefix)
            if (account := settings.account(channel, provider)) is not None:
                yield from _names(type(account), prefix)


def _names(section: type[BaseSettings], prefix: str | None = None) -> Iterator[str]:
    prefix = prefix or str(section.model_config["env_prefix"])
    yield from (f"{prefix}{name}".upper() for name in section.model_fields)
    yield from (f"{variable}{SUFFIX}" for _, variable in secret_names(section, prefix))


def _of_others(name: str) -> bool:
    """Variables of our tests, and those that Kubernetes sets in every pod for a service called `tidings`."""
    return name.startswith("TIDINGS_TEST_") or bool(KUBERNETES.fullmatch(name))


def _of_fallback(settings: Settings, channel: str, provider: str) -> Iterator[Variable]:
    """Those set for this provider; the others are inherited from the preferred one."""
    present: list[BaseSettings] = [settings.provider(channel, provider)]
    if (account := settings.account(channel, provider)) is not None:
        present.append(account)
    for section in present:
        kind = type(section)
        for name in sorted(section.model_fields_set):
            field = kind.model_fields[name]
            yield Variable(
                name=f"{prefix_of(channel, provider)}{name}".upper(),
                section=f"{(kind.__doc__ or '').strip().rstrip('.')}: {provider}.",
                meaning=_meaning(kind, name),
                default=written(field, field.get_default(call_default_factory=True)),
                value=written(field, getattr(section, name)),
                is_set=True,
            )


def _sections(settings: Settings) -> Mapping[type[BaseSettings], BaseSettings]:
    present: list[BaseSettings] = [
        settings.broker,
        settings.ledger,
        settings.worker,
        settings.outbox,
        settings.alerting,
        settings.api,
        settings.console,
        settings.mcp,
        *settings.channels.values(),
        *settings.accounts.values(),
    ]
    return {type(section): section for section in present}


def _meaning(section: type[BaseModel], name: str) -> str:
    """Its description, or that of the section it inherits from, on one line."""
    ours = (
        kind
        for kind in section.__mro__
        if kind is not object and not kind.__module__.startswith("pydantic")
    )
    meanings = (_meanings(sys.modules[kind.__module__]).get((kind.__name__, name)) for kind in ours)
    return next((meaning for meaning in meanings if meaning), "")


@cache
def _meanings(module: ModuleType) -> Mapping[tuple[str, str], str]:
    """The sentence below each field of the sections in a module, by class and field.

    Pydantic reads them too, but parses the file anew for every class, at import: that takes every command
    a tenth of a second.
    """
    return MappingProxyType(dict(_descriptions_in(inspect.getsource(module))))


def _descriptions_in(source: str) -> Iterator[tuple[tuple[str, str], str]]:
    for section in ast.parse(source).body:
        for statement, below in pairwise(getattr(section, "body", ())):
            match statement, below:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str() as meaning)),
                ) if isinstance(section, ast.ClassDef):
                    yield (section.name, name), " ".join(meaning.split())
                case _:
                    continue


def written(field: FieldInfo, value: Any) -> str:
    """A value as written in the environment, secrets hidden."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case float():
            return _number(value, set(_notes(field)))
        case tuple():
            return " ".join(written(field, each) for each in value)
        case dict():
            return json.dumps(_plain(value))
        case _:
            return _hidden(value.get_secret_value()) if isinstance(value, SecretStr) else str(value)


def _number(value: float, notes: set[NumberFormat]) -> str:
    if NumberFormat.DURATION in notes:
        return _length(value)
    return f"{value:g}/s" if NumberFormat.RATE in notes else f"{value:g}"


def _notes(field: FieldInfo) -> Iterator[NumberFormat]:
    yield from (note for note in field.metadata if isinstance(note, NumberFormat))
    for part in get_args(field.annotation):
        if get_origin(part) is Annotated:
            yield from (note for note in part.__metadata__ if isinstance(note, NumberFormat))


def _length(seconds: float) -> str:
    """90.0 → `1m30s`, 0.5 → `500ms`."""
    if seconds != int(seconds):
        return f"{round(seconds * 1000)}ms" if seconds < 60 else f"{seconds:g}s"
    text, rest = "", int(seconds)
    for unit, size in _UNITS:
        count, rest = divmod(rest, size)
        text += f"{count}{unit}" if count else ""
    return text or "0s"


def _plain(value: Any) -> Any:
    match value:
        case BaseModel():
            fields = type(value).model_fields
            values = ((name, getattr(value, name)) for name in fields)
            return {name: written(fields[name], each) for name, each in values if each is not None}
        case dict():
            return {name: _plain(each) for name, each in value.items()}
        case _:
            return value


def _hidden(secret: str) -> str:
    """Only the password of a server's URL is secret; operators need to see the rest."""
    if not secret.startswith(("amqp://", "amqps://", "postgres://", "postgresql://", "http")):
        return HIDDEN if secret else ""
    try:
        parts = urlsplit(secret)
    except ValueError:
        return HIDDEN
    userinfo, at, host = parts.netloc.rpartition("@")
    user, colon, _ = userinfo.partition(":")
    shown = f"{user}:{HIDDEN}" if colon else user
    query = f"?{_without_secrets(parts.query)}" if parts.query else ""
    return f"{parts.scheme}://{shown}{at}{host}{parts.path}{query}"


def _without_secrets(query: str) -> str:
    """libpq also accepts `password=` and `sslpassword=` as parameters."""
    pairs = (pair.partition("=") for pair in query.split("&"))
    return "&".join(
        f"{name}={HIDDEN}" if "pass" in name.lower() else f"{name}{equals}{value}"
        for name, equals, value in pairs
    )
