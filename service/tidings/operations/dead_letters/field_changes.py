"""A change of the same fields in many dead letters: written down, shown, and refused early if no notification can have it. Pure."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from tidings.delivery.errors import InvalidRequest, Refused
from tidings.operations.dead_letters.body import (
    MalformedEdit,
    NoFields,
    changes_by_field,
    checked,
    with_fields,
)
from tidings.operations.masks import discreet, veiled_fields
from tidings_events import MODELS

ADDRESSES: Final = frozenset({"recipient", "cc", "bcc"})
"""Fields that say who gets to see the content."""
MISSING: Final = "is missing"
"""How a problem ends its beginning if only the rest of a notification is not there."""


def shows_to_others(paths: Iterable[str]) -> bool:
    """Whether setting these fields may show the content to somebody else: that takes the scope `reveal` too."""
    return any(path.strip().partition(".")[0].partition("[")[0] in ADDRESSES for path in paths)


@dataclass(frozen=True, slots=True)
class FieldChange:
    """Fields to be set, like `recipient=ada@example.com`, and fields to be taken out."""

    assignments: tuple[str, ...] = ()
    unset: tuple[str, ...] = ()

    @classmethod
    def of(cls, values: Mapping[str, Any], unset: tuple[str, ...] = ()) -> Self:
        """A change of fields by their dotted paths.

        Raises:
            InvalidRequest: A path can't be written as an assignment.
        """
        for path in values:
            if "=" in path:
                raise InvalidRequest(f"{path!r}: a field's name has no =", field="set")
        return cls(tuple(f"{path}={json.dumps(value)}" for path, value in values.items()), unset)

    @classmethod
    def read(cls, text: str) -> Self:
        """The change that `written` wrote."""
        stored = json.loads(text)
        return cls(tuple(stored["assignments"]), tuple(stored["unset"]))

    @property
    def written(self) -> str:
        """As it is stored, with people and content."""
        return json.dumps({"assignments": self.assignments, "unset": self.unset})

    def __call__(self, body: bytes) -> bytes:
        """The body with that change. Raises like `with_fields`."""
        return with_fields(body, self.assignments, self.unset)

    def __bool__(self) -> bool:
        """Whether it changes anything."""
        return bool(self.assignments or self.unset)

    @property
    def paths(self) -> tuple[str, ...]:
        """The fields that are set."""
        return tuple(assignment.partition("=")[0].strip() for assignment in self.assignments)

    def check(self) -> None:
        """Raises:
        InvalidRequest: It is written wrongly, whatever it is to change.
        """
        try:
            self(b"{}").decode()
        except UnicodeDecodeError:
            raise InvalidRequest("a value has half a character", field="assignments") from None
        except Refused as refused:  # one assignment leads into the value of another
            raise InvalidRequest(str(refused), field="assignments") from None

    def check_for(self, channel: str | None = None) -> None:
        """Whether a notification can be so.

        Args:
            channel: Of the dead letters; None: of any.

        Raises:
            InvalidRequest: It changes nothing, is written wrongly, or no notification of the channel, or of any, can
                be so; says why.
        """
        if not self:
            raise InvalidRequest("name a field to be set or taken out", field="edit")
        self.check()
        wrong: tuple[str, ...] = ()
        for name in MODELS if channel is None else [channel]:
            if not (wrong := tuple(self._problems(name))):
                return
        raise InvalidRequest("; ".join(dict.fromkeys(wrong)), field="edit")

    def _problems(self, channel: str) -> Iterator[str]:
        """Why no notification of a channel can be so."""
        fields = MODELS[channel].model_fields if channel in MODELS else {}
        for path in self.unset:
            if path in fields and fields[path].is_required():
                yield f"{path}: a notification has to have it"
        try:
            checked(self(json.dumps({"channel": channel}).encode()))
        except MalformedEdit as malformed:
            for problem in malformed.problems:
                place, _, words = problem.partition(": ")
                if any(is_within(place, path) for path in self.paths) and MISSING not in words:
                    yield problem

    def shown(self) -> Mapping[str, Any]:
        """For people: values by field, people masked and content left out."""
        fields = veiled_fields(json.loads(self(b"{}")))
        return {
            "set": {path: json.loads(field.shown) for path, field in fields.items()},
            "unset": list(self.unset),
        }


def is_within(place: str, path: str) -> bool:
    """Whether a problem is in a field, or in a part of its value."""
    return place == path or place.startswith((f"{path}.", f"{path}["))


@dataclass(frozen=True, slots=True)
class SampledEdit:
    """What an edit changes in one dead letter."""

    changes: tuple[str, ...] | None
    """Field by field, as it was and as it is; None: nothing."""
    problem: str | None = None
    """Why it can't be edited so."""


@dataclass(frozen=True, slots=True)
class EditTrial:
    """What an edit would do to some of the dead letters of a job."""

    first: int
    """So many of the first were to be tried out."""
    looked_at: int
    """Of these, those that were: still open, and not too large."""
    invalid: int
    """Of these, those that can't be edited so, or would be no valid notifications: they are left as they are."""


def trial_in_words(trial: EditTrial, items: int) -> str:
    """What it found, and among how many.

    Args:
        trial: It.
        items: Dead letters of the job.
    """
    some, rest = f"the first {trial.first:,}" if trial.first < items else f"all {items:,}", ""
    if not trial.looked_at:
        return f"Of {some}, none could be tried out: too large, or no longer open."
    if trial.looked_at < trial.first:
        some = f"{trial.looked_at:,} of {some}"
        rest = " The others could not be tried out: too large, or no longer open."
    if not trial.invalid:
        return f"Of {some} that were looked at, none would be invalid.{rest}"
    are = "are left as they are" if trial.invalid > 1 else "is left as it is"
    return f"Of {some} that were looked at, {trial.invalid:,} would be invalid and {are}.{rest}"


def is_possible(body: bytes, change: FieldChange) -> bool:
    """Whether a body can be changed so, and is a valid notification then."""
    try:
        checked(change(body))
    except Refused:
        return False
    return True


def sample_of(body: bytes, change: FieldChange, *, reveal: bool) -> SampledEdit:
    """What a change makes of a body.

    Args:
        body: A dead letter's.
        change: The change.
        reveal: With people and content.
    """
    try:
        after = change(body)
        checked(after)
    except NoFields as refused:
        return SampledEdit(None, str(refused))
    except Refused as refused:
        return SampledEdit(None, str(refused) if reveal else discreet(str(refused)))
    different = changes_by_field(body, after, reveal=reveal)
    return SampledEdit(None if different is None else tuple(different))
