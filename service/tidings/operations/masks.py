"""Shows recipients and messages without personal data: masked addresses, and the shape of a body."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tidings.channels.registry import SPECS
from tidings.delivery.masking import mask
from tidings.operations.times import counted
from tidings_events.routing import MILLISECONDS, TRACEPARENT, Headers

PLAIN: Final = frozenset(
    {
        "id",
        "version",
        "channel",
        "priority",
        "tenant",
        "category",
        "entity",
        "locale",
        "template",
        "max_retries",
        "scheduled_at",
        "expires_at",
        "type",
    }
).union(*(spec.unmasked_fields for spec in SPECS.values()))
"""Fields about delivery that contain neither content nor people."""
PEOPLE: Final = frozenset({"recipient"}).union(*(spec.address_fields for spec in SPECS.values()))
QUOTES: Final = re.compile(rf'\b(?:{"|".join(sorted(PEOPLE))})(?:\[\d+\])?: (?="|-?\d{{5}})')
"""The words before a person's address in a sentence about a field; a phone number may be a JSON number."""
LONGEST_QUOTE: Final = 80
"""Characters of a value that such a sentence quotes; a longer one is cut, and has no quotation mark at its end."""
OURS: Final = (
    "x-tidings-",
    "x-death",
    "x-first-death-",
    "x-last-death-",
    "x-delivery-count",
    "x-acquired-count",
)
"""How the headers begin that Tidings and RabbitMQ write."""
LONGEST: Final = 200


def shown(recipient: str, *, reveal: bool) -> str:
    """A recipient, masked unless it is to be revealed."""
    return recipient if reveal else mask(recipient)


def veiled(body: bytes) -> str | None:
    """The body as JSON with people masked and contents left out; None if it is not JSON."""
    try:
        return json.dumps(_veiled(json.loads(body), ""), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return None


def veiled_headers(headers: Mapping[str, Any]) -> dict[str, Any]:
    """The headers that Tidings and RabbitMQ write; of others, which a producer's library may fill with
    whole arguments, only their names."""
    return {_name(name): _veiled_header(name, value) for name, value in headers.items()}


def _veiled_header(name: str, value: Any) -> Any:
    if name == Headers.ORIGINAL_HEADERS and isinstance(value, dict):
        return veiled_headers(value)
    if name == MILLISECONDS and isinstance(value, int):
        return value
    return _discreet(value) if _is_ours(name) else _summary(value)


def _discreet(value: Any) -> Any:
    """A sentence about a message may quote who it is for."""
    return discreet(value) if isinstance(value, str) else value


def _is_ours(name: str) -> bool:
    return name == TRACEPARENT or (name.startswith(OURS) and name != Headers.ORIGINAL_HEADERS)


def discreet(sentence: str) -> str:
    """A sentence about a message, without the people it may quote."""
    masked, at = "", 0
    while quotes := QUOTES.search(sentence, at):
        value, length = _quotation(sentence[quotes.end() : quotes.end() + LONGEST_QUOTE])
        masked += sentence[at : quotes.end()] + json.dumps(mask(value), ensure_ascii=False)
        at = quotes.end() + length
    return masked + sentence[at:]


def _quotation(text: str) -> tuple[str, int]:
    """The value with which it begins, and how many characters that takes: all of them where it was cut."""
    try:
        value, length = json.JSONDecoder().raw_decode(text)
    except ValueError:
        return text.strip('"…'), len(text)
    return str(value), length


def _name(name: str) -> str:
    """A field's name, where it is one."""
    return mask(name) if "@" in name or "://" in name else _short(name)


def _veiled(value: Any, field: str) -> Any:
    if isinstance(value, dict) and field in {"", "entity"}:
        return {_name(name): _veiled(inner, name) for name, inner in value.items()}
    if field in PEOPLE:
        return [_masked(item) for item in value] if isinstance(value, list) else _masked(value)
    if field in PLAIN and not isinstance(value, dict | list):
        return _short(value) if isinstance(value, str) else value
    return _summary(value)


def _masked(value: Any) -> Any:
    return mask(value) if isinstance(value, str) else _summary(value)


def _summary(value: Any) -> Any:
    match value:
        case str():
            return f"… {counted(len(value), 'character')}"
        case list():
            return f"… {counted(len(value), 'item')}"
        case dict():
            return f"… {counted(len(value), 'field')}"
        case None | bool():
            return value
        case _:
            return "… a number"


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


@dataclass(frozen=True, slots=True)
class Veiled:
    """A field's value, and how it is shown."""

    value: Any = field(repr=False)
    shown: str


def veiled_fields(notification: Any) -> dict[str, Veiled]:
    """Each field of a notification by its dotted path; empty where it is no JSON object."""
    if not isinstance(notification, dict):
        return {}
    found: dict[str, Veiled] = {}
    for name, value in notification.items():
        inner = value if name == "entity" and isinstance(value, dict) else None
        if inner is None:
            found[_name(name)] = _shown(name, value)
        else:
            found |= {f"{name}.{_name(part)}": _shown(part, it) for part, it in inner.items()}
    return found


def _shown(name: str, value: Any) -> Veiled:
    return Veiled(value, json.dumps(_veiled(value, name), ensure_ascii=False))
