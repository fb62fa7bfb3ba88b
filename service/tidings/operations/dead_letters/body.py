"""Edits the body of a dead letter: one field at a time, or the whole of it. Pure."""

import difflib
import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

from tidings.delivery.errors import InvalidRequest, Refused
from tidings.operations.dead_letters.numbers import NumbersAsWritten
from tidings.operations.masks import veiled_fields
from tidings_events import InvalidNotification, Notification, parse
from tidings_events.weight import too_heavy

MOST_LINES: Final = 1_000
"""Lines that are compared with one another."""
CONTEXT: Final = 3
"""Lines before and after a change."""
LONGEST_VALUE: Final = 400
"""Characters of a value that a difference by field shows."""


class MalformedEdit(Refused):
    """The edited body is no notification; `problems` says where and why."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("the edited body is not a valid notification: " + "; ".join(self.problems))


class NoFields(Refused):
    """A body has no fields that could be set one by one: only a whole new one can take its place."""


def readable(body: bytes) -> str:
    """The body as a person edits it: JSON laid out, other text as it is, what is not UTF-8 marked.

    JSON that would take too much memory is left as it is.
    """
    if too_heavy(body) is not None:
        return body.decode("utf-8", "replace")
    numbers = NumbersAsWritten()
    try:
        return numbers.dumps(numbers.loads(body), indent=2) + "\n"
    except (ValueError, RecursionError):
        return body.decode("utf-8", "replace")


def with_fields(body: bytes, assignments: Iterable[str], unset: Iterable[str] = ()) -> bytes:
    """The body with fields set: `recipient=ada@example.com`, `entity.id="7"`, `expires_at=null`.
    It is the same, byte for byte, where all of them are so already.

    A value that is JSON is taken as such, anything else as text. A dotted path leads into
    objects, and makes them where they are missing.

    Args:
        unset: Fields that are taken out; a dotted path leads into objects.

    Raises:
        NoFields: The body is no JSON object, or too heavy a one.
        Refused: An assignment leads nowhere in this body.
        InvalidRequest: An assignment, or a field in `unset`, is written wrongly.
    """
    if (heavy := too_heavy(body)) is not None:
        raise NoFields(f"its body can't be edited by the field: {heavy}")
    numbers = NumbersAsWritten()
    try:
        notification = numbers.loads(body)
    except (ValueError, RecursionError):
        notification = None
    if not isinstance(notification, dict):
        raise NoFields("its body is no JSON object")
    before = _written(notification, numbers)
    for path in unset:
        _remove(notification, path)
    for assignment in assignments:
        _assign(notification, assignment, numbers)
    after = _written(notification, numbers)
    return body if after == before else after


def checked(body: bytes) -> Notification:
    """The notification that an edited body is.

    Raises:
        Unreadable: It is none.
    """
    try:
        return parse(body)
    except InvalidNotification as invalid:
        raise MalformedEdit(invalid.problems) from None


def difference(before: bytes, after: bytes) -> Iterator[str]:
    """What changed, line by line, as `diff -u` shows it; nothing where nothing did.

    Of many lines, those before the first change and after the last are left out first. If too many are left, what changed
    is told field by field: comparing them may take minutes (`difflib` is quadratic, and worse).
    """
    old, new = readable(before).splitlines(), readable(after).splitlines()
    if max(len(old), len(new)) > MOST_LINES:
        old, new = _around_the_changes(old, new)
        if max(len(old), len(new)) > MOST_LINES:
            return _by_field(before, after, reveal=True)
    return difflib.unified_diff(old, new, "open", "edited", lineterm="")


def _around_the_changes(old: list[str], new: list[str]) -> tuple[list[str], list[str]]:
    """Two texts without the lines that are the same at their beginnings and ends, but for a few of them."""
    shorter = min(len(old), len(new))
    first = next((at for at in range(shorter) if old[at] != new[at]), shorter)
    same = (at for at in range(shorter - first) if old[-1 - at] != new[-1 - at])
    last = next(same, shorter - first)
    begin, end = max(0, first - CONTEXT), max(0, last - CONTEXT)
    return old[begin : len(old) - end], new[begin : len(new) - end]


def changes(before: bytes, after: bytes, *, reveal: bool) -> list[str] | None:
    """What an edit changes, line by line; None if nothing but how it is written.

    Args:
        reveal: Lines of `difference`, instead of each field without what is said to whom; those are
            empty if the fields can't be told apart.
    """
    if readable(before) == readable(after):
        return None
    return list(difference(before, after) if reveal else _by_field(before, after))


def changes_by_field(before: bytes, after: bytes, *, reveal: bool) -> list[str] | None:
    """What an edit changes, field by field; None if nothing but how it is written.

    Args:
        reveal: With people and content, each value cut after some characters.
    """
    if before == after or readable(before) == readable(after):
        return None
    return list(_by_field(before, after, reveal=reveal))


def _by_field(before: bytes, after: bytes, *, reveal: bool = False) -> Iterator[str]:
    """The fields that differ, each as it was and as it is."""
    old, new = veiled_fields(_json(before)), veiled_fields(_json(after))
    for path in dict.fromkeys((*old, *new)):
        was, now = old.get(path), new.get(path)
        if was is not None and now is not None and _same(was.value, now.value):
            continue
        if was is not None:
            yield f'-  "{path}": {_cut(was.value) if reveal else was.shown}'
        if now is not None:
            yield f'+  "{path}": {_cut(now.value) if reveal else now.shown}'


def _same(was: Any, now: Any) -> bool:
    """Whether two values are the same JSON; to Python `1` and `true` are equal."""
    return was == now and json.dumps(was, sort_keys=True) == json.dumps(now, sort_keys=True)


def _cut(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"


def _json(body: bytes) -> Any:
    try:
        return None if too_heavy(body) is not None else json.loads(body)
    except (ValueError, RecursionError):
        return None


def _remove(notification: dict[str, Any], path: str) -> None:
    *parents, last = path.strip().split(".")
    if not last or not all(parents):
        raise InvalidRequest(f"{path!r}: write it like expires_at or entity.id", field="unset")
    place: Any = notification
    for parent in parents:
        place = place.get(parent) if isinstance(place, dict) else None
    if isinstance(place, dict):
        place.pop(last, None)


def _assign(notification: dict[str, Any], assignment: str, numbers: NumbersAsWritten) -> None:
    path, equals, value = assignment.partition("=")
    *parents, last = path.strip().split(".")
    if not equals or not last or not all(parents):
        raise InvalidRequest(
            f"{assignment!r}: write it like recipient=ada@example.com", field="assignments"
        )
    place = notification
    for parent in parents:
        inner = place.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise Refused(f"{path.strip()}: {parent} is no object")
        place = inner
    place[last] = _value(value, numbers)


def _value(text: str, numbers: NumbersAsWritten) -> Any:
    try:
        return numbers.loads(text)
    except ValueError:
        return text
    except RecursionError:
        raise InvalidRequest("a value is nested too deeply", field="assignments") from None


def _written(notification: dict[str, Any], numbers: NumbersAsWritten) -> bytes:
    try:
        return numbers.dumps(notification).encode("utf-8", "surrogatepass")
    except RecursionError:
        raise Refused("the edited dead letter is nested too deeply") from None
