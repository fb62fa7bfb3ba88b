"""Edits the body of a letter: one field at a time, or the whole of it. Pure."""

import difflib
import json
from collections.abc import Iterable, Iterator
from typing import Any

from tidings.delivery.errors import Refused
from tidings_events import InvalidNotification, Notification, parse


class Unreadable(Refused):
    """The edited body is no notification; `problems` says where and why."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("the edited letter can't be read: " + "; ".join(self.problems))


def readable(body: bytes) -> str:
    """The body as a person edits it: JSON laid out, other text as it is, what is not UTF-8 marked."""
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False) + "\n"
    except (ValueError, RecursionError):
        return body.decode("utf-8", "replace")


def with_fields(body: bytes, assignments: Iterable[str]) -> bytes:
    """The body with fields set: `recipient=ada@example.com`, `entity.id="7"`, `expires_at=null`.

    A value that is JSON is taken as such, anything else as text. A dotted path leads into
    objects, and makes them where they are missing.

    Raises:
        Refused: The body is no JSON object, or an assignment leads nowhere.
    """
    try:
        notification = json.loads(body)
    except (ValueError, RecursionError):
        notification = None
    if not isinstance(notification, dict):
        raise Refused(
            "its body is no JSON object: write a whole new one with --file or in the editor"
        )
    for assignment in assignments:
        _assign(notification, assignment)
    return json.dumps(notification, ensure_ascii=False).encode("utf-8", "surrogatepass")


def checked(body: bytes) -> Notification:
    """The notification that an edited body is.

    Raises:
        Unreadable: It is none.
    """
    try:
        return parse(body)
    except InvalidNotification as invalid:
        raise Unreadable(invalid.problems) from None


def difference(before: bytes, after: bytes) -> Iterator[str]:
    """What changed, line by line, as `diff -u` shows it; nothing where nothing did."""
    return difflib.unified_diff(
        readable(before).splitlines(), readable(after).splitlines(), "buried", "edited", lineterm=""
    )


def _assign(notification: dict[str, Any], assignment: str) -> None:
    path, equals, value = assignment.partition("=")
    *parents, last = path.strip().split(".")
    if not equals or not last or not all(parents):
        raise Refused(f"--set {assignment!r}: write it like recipient=ada@example.com")
    place = notification
    for parent in parents:
        inner = place.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise Refused(f"--set {assignment!r}: {parent} is no object")
        place = inner
    place[last] = _value(value)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
