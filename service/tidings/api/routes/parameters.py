"""Parameters and bodies that several routes have: the same name means the same everywhere."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
)

from tidings.api.problems import FORBIDDEN, ApiProblem
from tidings.api.route import AnyCall, Parameters
from tidings.delivery.jobs import LONGEST_DELAY
from tidings.operations.dead_letters.field_changes import shows_to_others
from tidings.operations.scopes import Scope
from tidings.operations.times import moment

LONGEST_NOTE: Final = 500

Text = Annotated[str, StringConstraints(min_length=1, max_length=2_048)]
Values = Annotated[list[Text], Field(max_length=10)]
"""One of them has to match."""
TenantName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]


def _time(given: Any) -> Any:
    """A time, or how long ago. A `+` that a caller has not escaped arrives as a space."""
    if not isinstance(given, str):
        return given
    try:
        written = datetime.fromisoformat(given.replace(" ", "+") if "T" in given else given)
        found = written.astimezone(UTC) if written.tzinfo is not None else None
    except (ValueError, OverflowError):  # the year 1 in Tokyo is none in UTC
        try:
            found = moment(given)
        except ValueError:
            found = None
    if found is None:
        raise ValueError(
            f"{given[:60]!r} is not a time: write how long ago, like 30m, 24h or 7d, or a date and time with its offset, "
            "like 2026-11-22T18:00:00+01:00"
        )
    return found


Time = Annotated[
    datetime,
    BeforeValidator(_time),
    WithJsonSchema({"type": "string", "examples": ["2026-11-29T00:00:00Z", "24h"]}),
]
"""RFC 3339 with an offset, or how long ago."""
End = Annotated[
    datetime,
    BeforeValidator(_time),
    WithJsonSchema({"type": "string", "examples": ["2026-11-30T00:00:00Z", "1h"]}),
]
"""The same, of a period that begins with the example of `Time`."""


class TenantQuery(Parameters):
    """Whose things are meant."""

    tenant: TenantName | None = Field(
        default=None,
        description="Only of this tenant; a key of one tenant has that one.",
        examples=["shop"],
    )


class TestsQuery(TenantQuery):
    """Whose things are meant: tests, or what is no test."""

    test: bool | None = Field(
        default=None,
        description="Tests, in place of what is no test; a test key sees nothing else.",
        examples=[False],
    )


class PageQuery(Parameters):
    """A page of a list."""

    limit: int = Field(
        default=25, ge=1, le=100, description="At most so many in the page.", examples=[25]
    )
    cursor: Annotated[str, StringConstraints(max_length=200)] | None = Field(
        default=None,
        description="`next_cursor` of the page before; with the same filters.",
    )


class RevealQuery(Parameters):
    """How one thing is shown."""

    reveal: bool = Field(
        default=False,
        description="Show people and content; needs the scope `reveal` too, and is kept in the audit trail.",
        examples=[False],
    )


class NoteQuery(Parameters):
    """Why, for a request without a body."""

    note: str = Field(
        default="",
        max_length=LONGEST_NOTE,
        description="Kept in the history.",
        examples=["INC-812"],
    )


class NoteBody(BaseModel):
    """Why."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    note: str = Field(
        default="",
        max_length=LONGEST_NOTE,
        description="Kept in the history.",
        examples=["INC-812"],
    )


class RequiredNoteBody(BaseModel):
    """Why; it has to be said."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    note: str = Field(
        min_length=1,
        max_length=LONGEST_NOTE,
        description="Kept in the history.",
        examples=["test data"],
    )


class StartBody(BaseModel):
    """When a job begins."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    starts_in_seconds: float = Field(
        default=0,
        ge=0,
        le=LONGEST_DELAY,
        description="Nothing is done before: cancelled until then, it leaves all as it is.",
        examples=[10],
    )


def tenant_of(call: AnyCall, given: str | None) -> str | None:
    """The tenant that a request is about; None: all of them.

    Args:
        call: The request.
        given: The tenant that it names.

    Raises:
        ApiProblem: Its key is another tenant's.
    """
    if call.tenant is None:
        return given
    if given not in {None, call.tenant}:
        raise ApiProblem(FORBIDDEN, "this key is of another tenant")
    return call.tenant


def check_addresses(call: AnyCall, paths: Iterable[str]) -> None:
    """Whether fields may be set that say who gets to see the content, if some of these do.

    Raises:
        ApiProblem: The key may not.
    """
    if shows_to_others(paths) and Scope.REVEAL not in call.principal.scopes:
        raise ApiProblem(
            FORBIDDEN,
            "another recipient gets to see the content: this needs the scope `reveal` too",
        )


def check_reveal(call: AnyCall) -> None:
    """Whether people may be revealed, if that is asked for.

    Raises:
        ApiProblem: The key may not.
    """
    if call.query.reveal and Scope.REVEAL not in call.principal.scopes:
        raise ApiProblem(FORBIDDEN, "`reveal` needs a key that has the scope `reveal` too")
