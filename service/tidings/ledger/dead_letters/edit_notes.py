"""What an edit of a dead letter changed, or why it can't be, as it is kept: the fields' names, and never their values."""

import json
import re
from typing import Any, Final

from tidings_events import InvalidNotification
from tidings_events.problems import without_values

NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}(\.[A-Za-z_][A-Za-z0-9_]{0,39})?")
"""The parts that may be shown: other quoted text of a producer may name a person."""
MOST: Final = 10
"""Names that are told."""


def faults_of(invalid: InvalidNotification) -> str:
    """Why a body is no notification; jobs keep it for weeks, where an erasure does not look for people."""
    return "; ".join(map(without_values, invalid.problems))


def edited_fields(before: bytes, after: bytes) -> str:
    """The fields that are different: `recipient, entity.id`."""
    was, now = _fields(before), _fields(after)
    if was is None or now is None:
        return "all of it"
    changed = sorted(name for name in was.keys() | now.keys() if was.get(name) != now.get(name))
    if not changed:
        return "only how it is written"
    named = [name for name in changed if NAME.fullmatch(name)][:MOST]
    rest = len(changed) - len(named)
    further = [f"{rest} {'more' if named else 'of its fields'}"] if rest else []
    return ", ".join([*named, *further])


def _fields(body: bytes) -> dict[str, str] | None:
    """Each field's value as JSON, which tells `1` from `true`; None where it is no JSON object."""
    try:
        read = json.loads(body)
        return dict(_flat(read)) if isinstance(read, dict) else None
    except (ValueError, RecursionError):
        return None


def _flat(read: dict[str, Any]) -> list[tuple[str, str]]:
    inner = read.get("entity")
    parts = inner if isinstance(inner, dict) else {}
    plain = {name: value for name, value in read.items() if name != "entity" or not parts}
    named = {**plain, **{f"entity.{name}": value for name, value in parts.items()}}
    return [(name, json.dumps(value, sort_keys=True)) for name, value in named.items()]
