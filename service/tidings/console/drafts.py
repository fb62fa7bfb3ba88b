"""A dead letter's body while it is edited: its fields, or all of it as JSON, whichever was typed in; what is wrong with it. Pure."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from types import UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

from pydantic import BaseModel

from tidings.console.forms import Form
from tidings.delivery.errors import InvalidRequest, Refused
from tidings.operations.dead_letters.body import (
    MalformedEdit,
    changes,
    checked,
    readable,
    with_fields,
)
from tidings.operations.dead_letters.numbers import NumbersAsWritten
from tidings_events import MODELS
from tidings_events.weight import too_heavy

FIXED: Final = frozenset({"id", "version", "channel", "tenant", "test"})
"""Fields that are not edited one by one: the first four say what it is, and it has to stay a test or none."""
LONG: Final = 80
"""Characters from which a field has several lines."""
FIELD: Final = "field."
"""What the names of fields begin with in the form."""
NUL: Final = "\0"
"""A browser makes another character of it (HTML, 13.2.5.1): a text that has it is typed as JSON."""
HALF: Final = "It has half a character, such as \\ud800 without the other half."
NOT_TEXT: Final = (dict, list, tuple, int, float, BaseModel)


@dataclass(frozen=True, slots=True)
class DraftField:
    """One field of a notification, as it is typed."""

    name: str
    """A dotted path."""
    value: str = field(default="", repr=False)
    as_json: bool = False
    """Whether it is typed as JSON: a number, a list or an object."""
    help: str = ""
    missing: bool = False
    """Whether the body does not have it."""

    @property
    def long(self) -> bool:
        """Whether it needs several lines."""
        return len(self.value) > LONG or "\n" in self.value


@dataclass(frozen=True, slots=True)
class EditedBody:
    """An edited body, and what there is to say of it."""

    body: bytes = field(repr=False)
    raw: str = field(repr=False)
    """All of it, as it is typed."""
    fields: tuple[DraftField, ...]
    problems: tuple[str, ...] = ()
    """Why it can't be stored."""
    changes: tuple[str, ...] | None = None
    """What is different from the dead letter, line by line; None: nothing."""

    looked_at: bool = True
    """Whether it is what the page had, with its difference: nothing was typed since."""
    kept: tuple[str, str] | None = None
    """What the form had as `seen_raw` and `seen_fields`, if what was typed could not be taken: it still counts as typed."""

    @property
    def seen_raw(self) -> str:
        """Says later whether the JSON was typed in."""
        return _digest(self.raw) if self.kept is None else self.kept[0]

    def values(self, names: Iterable[str] | None = None) -> Mapping[str, str]:
        """What the form's fields have.

        Args:
            names: Of the fields in the form; all that there are, if None.
        """
        found = {it.name: it.value for it in self.fields}
        return found if names is None else {name: found.get(name, "") for name in names}

    def seen_fields(self, names: Iterable[str] | None = None) -> str:
        """Says later whether one of these fields was typed in."""
        return _of_fields(self.values(names)) if self.kept is None else self.kept[1]


def draft_of(body: bytes) -> EditedBody:
    """A dead letter's body before anything is typed.

    Raises:
        Refused: A page can't have it.
    """
    return _looked_at(body, body)


def typed(body: bytes, form: Form) -> EditedBody:
    """What was typed: in the fields, or in the JSON.

    Args:
        body: The dead letter's.
        form: What was sent; `seen_raw` and `seen_fields` say what the page had before.

    Raises:
        Refused: A page can't have it.
    """
    raw, given = form.get("raw", ""), fields_in(form)
    in_raw = _digest(raw) != form.text("seen_raw")
    in_fields = _of_fields(given) != form.text("seen_fields")
    shown = body if _digest(raw) == _digest(readable(body)) else raw.encode()
    if not _encodable(readable(shown)):
        return _refused(form, body, body, [HALF])
    if in_raw and in_fields:
        problem = "The fields and the JSON were both changed: take one of these changes back."
        return _refused(form, shown, body, [problem])
    if in_raw or not in_fields:
        return replace(_looked_at(shown, body, raw), looked_at=not in_raw)
    try:
        after = with_typed(shown, given)
    except (InvalidRequest, Refused) as wrong:
        problems = wrong.problems if isinstance(wrong, MalformedEdit) else [str(wrong)]
        return _refused(form, shown, body, problems)
    if not _encodable(readable(after)):
        return _refused(form, shown, body, [HALF])
    return replace(_looked_at(after, body), looked_at=False)


def fields_in(form: Form) -> Mapping[str, str]:
    """The fields of the notification in a form, by their names."""
    return {
        name.removeprefix(FIELD): _as_sent(text)
        for name, text in form.items()
        if name.startswith(FIELD)
    }


def _looked_at(body: bytes, before: bytes, raw: str | None = None) -> EditedBody:
    text = _as_sent(readable(body) if raw is None else raw)
    if not _encodable(text):
        raise Refused("its body has half a character, which no page can show")
    problems: tuple[str, ...] = ()
    try:
        checked(body)
    except MalformedEdit as malformed:
        problems = malformed.problems
    different = changes(before, body, reveal=True)
    fields = tuple(fields_of(body))
    return EditedBody(body, text, fields, problems, None if different is None else tuple(different))


def _refused(form: Form, shown: bytes, before: bytes, problems: Sequence[str]) -> EditedBody:
    """What was typed, as it was typed."""
    known = {it.name: it for it in fields_of(shown)}
    different = changes(before, shown, reveal=True)
    return EditedBody(
        shown,
        form.get("raw", ""),
        tuple(
            replace(known.get(name, DraftField(name)), value=text)
            for name, text in fields_in(form).items()
        ),
        tuple(problems),
        None if different is None else tuple(different),
        looked_at=False,
        kept=(form.text("seen_raw"), form.text("seen_fields")),
    )


def fields_of(body: bytes) -> Iterator[DraftField]:
    """The fields of a body that can be edited one by one, then those that it does not have; none if it is no JSON object."""
    numbers = NumbersAsWritten()
    if (plain := _object(body, json.loads)) is None:
        return
    exact = _object(body, numbers.loads) or {}
    model = MODELS.get(plain["channel"]) if isinstance(plain.get("channel"), str) else None
    described = model.model_fields if model else {}
    present: list[tuple[str, Any, Any]] = []
    for name, value in plain.items():
        if name == "entity" and isinstance(value, dict):
            present += [(f"entity.{part}", value[part], exact[name][part]) for part in value]
        elif name not in FIXED:
            present.append((name, value, exact[name]))
    for name, value, written in present:
        if not _assignable(name):
            continue
        as_text = isinstance(value, str) and NUL not in value
        text = value if as_text else numbers.dumps(written)
        about = described[name].description or "" if name in described else ""
        yield DraftField(name, _as_sent(text), not as_text, about)
    for name, rule in described.items():
        if name not in plain and name not in FIXED and name != "entity":
            as_json = not _is_text(rule.annotation)
            yield DraftField(name, "", as_json, rule.description or "", missing=True)


def _object(body: bytes, loads: Callable[[bytes], Any]) -> dict[str, Any] | None:
    try:
        found = None if too_heavy(body) is not None else loads(body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _assignable(name: str) -> bool:
    """Whether an assignment can name a field."""
    inner = name.removeprefix("entity.")
    return inner.isprintable() and inner == inner.strip() != "" and not set(inner) & set(".=")


def with_typed(body: bytes, given: Mapping[str, str]) -> bytes:
    """A body with fields as they were typed; one that was emptied is taken out.

    Raises:
        MalformedEdit: What was typed for one is no JSON, and it has to be.
        Refused: The body has no fields.
    """
    known = {it.name: it for it in fields_of(body)}
    assignments, unset, problems = list[str](), list[str](), list[str]()
    for name, text in given.items():
        it = known.get(name, DraftField(name))
        if _as_sent(text) == it.value:
            continue
        if not text.strip():
            unset.append(name)
        elif it.as_json:
            try:
                json.loads(text)
            except (ValueError, RecursionError) as error:
                problems.append(f"{name}: {text[:40]!r} is not JSON: {error}")
            assignments.append(f"{name}={text}")
        else:
            assignments.append(f"{name}={json.dumps(text)}")
    if problems:
        raise MalformedEdit(problems)
    return with_fields(body, assignments, unset)


def _encodable(text: str) -> bool:
    """Whether a page can have it: half a character has no UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_text(annotation: Any) -> bool:
    """Whether a field is typed as it is, not as JSON."""
    if get_origin(annotation) in {Annotated, Union, UnionType}:
        inner = get_args(annotation)
        return all(map(_is_text, inner[:1] if get_origin(annotation) is Annotated else inner))
    kind = get_origin(annotation) or annotation
    return not (isinstance(kind, type) and issubclass(kind, NOT_TEXT))


def _as_sent(text: str) -> str:
    """A text as it comes back from a form."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _of_fields(values: Mapping[str, str]) -> str:
    return _digest("\0".join(f"{name}={text}" for name, text in sorted(values.items())))


def _digest(text: str) -> str:
    return sha256(_as_sent(text).encode(errors="replace")).hexdigest()
