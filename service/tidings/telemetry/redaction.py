"""Keeps secrets out of the logs: passwords in URLs, and values of fields with names of secrets."""

import re
from collections.abc import Mapping, MutableMapping
from functools import lru_cache
from typing import Any, Final

REDACTED: Final = "[redacted]"

_HARMLESS: Final = frozenset({int, float, bool, type(None)})

_SECRET_NAME: Final = re.compile(
    r"password|passwd|secret|token|api_?key|authorization|credential|cookie|signature",
    re.IGNORECASE,
)
_USERINFO: Final = re.compile(r"(?<=://)[^/?#\s'\"]*@")
_QUERY: Final = re.compile(
    r"([?&][\w-]*(?:password|secret|token|key|signature)[\w-]*=)[^&\s'\"#]+", re.IGNORECASE
)


def redact(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """A structlog processor: the event without its secrets."""
    for name, value in event.items():
        if _is_secret(name):
            event[name] = REDACTED
        elif type(value) is str:  # the most frequent type, on the hot path
            if "://" in value:
                event[name] = _clean_text(value)
        elif type(value) not in _HARMLESS:
            event[name] = clean(value)
    return event


def clean(value: Any) -> Any:
    """A value without user names and passwords in URLs, and without secrets by name."""
    match value:
        case str():
            return _clean_text(value)
        case Mapping():
            return {
                name: REDACTED if _is_secret(str(name)) else clean(inner)
                for name, inner in value.items()
            }
        case list() | tuple() | set() | frozenset():
            return [clean(inner) for inner in value]
        case BaseException():
            return _clean_text(f"{type(value).__name__}: {value}")
        case _:
            return value


@lru_cache(maxsize=1024)
def _is_secret(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None


def _clean_text(text: str) -> str:
    if "://" not in text:
        return text
    return _QUERY.sub(rf"\1{REDACTED}", _USERINFO.sub(f"{REDACTED}@", text))
