"""The filters of dead letters in a page's query: as chips, for an operation, as a command's options and as JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Self, TypeVar
from uuid import UUID

from tidings.console.equivalents import Option
from tidings.console.filtering import FilterNames, in_utc
from tidings.console.page import Visit
from tidings.delivery.dead_letter import DeadLetterState
from tidings.delivery.errors import InvalidRequest
from tidings.delivery.outcome import Reason
from tidings.operations.dead_letters.query import DeadLetterQuery
from tidings.operations.suggestions import unknown
from tidings_events import CHANNELS

Member = TypeVar("Member", bound=StrEnum)

PERIODS: Final = ("1h", "24h", "7d", "30d")
IN_COMMANDS: Final = {"user_id": "user", "recipient": "to"}
"""What operations and commands call some of the API's filters."""
TIMES: Final = ("since", "until")
SINGLE: Final = (
    "channel",
    "reason",
    "since",
    "until",
    "user_id",
    "entity",
    "category",
    "recipient",
    "tenant",
)


def filter_names(visit: Visit, path: str) -> FilterNames:
    """What a list of dead letters can be filtered by, for this person."""
    known: dict[str, tuple[str, ...]] = {
        "channel": tuple(CHANNELS),
        "reason": tuple(reason.value for reason in Reason),
        "since": PERIODS,
        "until": PERIODS[:2],
        "category": (),
        "user_id": (),
        "entity": (),
        "recipient": (),
        "state": tuple(state.value for state in DeadLetterState),
    }
    if visit.tenant is None:
        known["tenant"] = ()
    if not visit.test:
        known["test"] = ("true",)
    single = frozenset({*SINGLE, "test"})
    return FilterNames(path, known, "channel:email", single, posted_to=f"{path}/find")


@dataclass(frozen=True, slots=True)
class DeadLetterChoice:
    """Filters of dead letters as they were written, limited to what the person may see."""

    values: Mapping[str, str]
    """By the API's names; without those that say nothing."""
    states: tuple[DeadLetterState, ...]
    test: bool

    @classmethod
    def read(cls, visit: Visit, fingerprint: str | None = None) -> Self:
        """Those of a page's query, or of a form's hidden fields.

        Args:
            visit: The request.
            fingerprint: The group that the page is about.

        Raises:
            InvalidRequest: A state is unknown, or another session sealed a filter.
        """
        names = filter_names(visit, "")
        given = {name: names.values(visit, name) for name in names.known}
        values = {name: given[name][-1] for name in SINGLE if given.get(name)}
        values |= {name: in_utc(values[name]) for name in TIMES if name in values}
        values |= _limits(visit, fingerprint)
        test = visit.test or "true" in given.get("test", ())
        states = (_member(DeadLetterState, text, "state") for text in given["state"])
        return cls(values, tuple(states), test)

    @classmethod
    def of_group(cls, visit: Visit, fingerprint: str) -> Self:
        """A group, so far as the person may see it, whatever the page's query says."""
        return cls(_limits(visit, fingerprint), (), visit.test)

    def query(self, *states: DeadLetterState) -> DeadLetterQuery:
        """For an operation.

        Args:
            states: In one of these, if the choice names none.

        Raises:
            InvalidRequest: A value can't be read.
        """
        given: dict[str, Any] = {
            IN_COMMANDS.get(name, name): value for name, value in self.values.items()
        }
        if "reason" in given:
            given["reason"] = _member(Reason, given["reason"], "reason")
        return DeadLetterQuery.read(**given, states=self.states or states, test=self.test)

    @property
    def options(self) -> dict[str, Option]:
        """As options of a command."""
        options: dict[str, Option] = {
            IN_COMMANDS.get(name, name): value for name, value in self.values.items()
        }
        return options | ({"test": True} if self.test else {})

    @property
    def as_data(self) -> dict[str, Any]:
        """As JSON of the API."""
        return {**self.values, **({"test": True} if self.test else {})}


def ticked(visit: Visit) -> list[UUID]:
    """The dead letters that were ticked in a form.

    Raises:
        InvalidRequest: None were, or a row has no id.
    """
    try:
        ids = [UUID(dead_letter) for dead_letter in visit.form.all("dead_letter")]
    except ValueError:
        raise InvalidRequest("a ticked row has no id", field="dead_letter") from None
    if not ids:
        raise InvalidRequest("tick the dead letters first, or choose all that match")
    return ids


def _limits(visit: Visit, fingerprint: str | None) -> dict[str, str]:
    given = {"tenant": visit.tenant, "fingerprint": fingerprint}
    return {name: value for name, value in given.items() if value is not None}


def _member(kind: type[Member], text: str, field: str) -> Member:
    try:
        return kind(text)
    except ValueError:
        raise InvalidRequest(unknown(text, list(kind)), field=field) from None
