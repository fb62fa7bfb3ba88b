"""Filters of a list as chips: the state is the query, each chip a link without it, and a field adds one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlencode

from tidings.console.page import ROOT, SeeOther, Visit
from tidings.console.sealing import MARK, opened, sealed
from tidings.delivery.errors import InvalidRequest
from tidings.operations.suggestions import unknown
from tidings.operations.times import moment

ADD = "add"
"""The parameter with a filter to be added, such as `channel:email`."""
PERSONAL = frozenset({"recipient", "user_id", "subject"})
"""Filters that name a person or quote content: addresses are kept in histories and in the logs of proxies."""
LONGEST = 500
"""Characters of what is typed: it becomes part of an address."""
LOST: Final = "this filter was typed in another session: type it again"


@dataclass(frozen=True, slots=True)
class Chip:
    """One active filter."""

    name: str
    value: str
    without: str
    """Address of the list without it."""


@dataclass(frozen=True, slots=True)
class FilterBar:
    """The filters of a list."""

    action: str
    kept: Sequence[tuple[str, str]]
    """The query as it is, which adding a filter keeps; without what another session sealed."""
    active: Sequence[Chip]
    suggestions: Sequence[str]
    """What the field completes: `channel:email`, `user_id:`."""
    example: str
    problem: str
    """Why what was typed is no filter; empty if it is one."""
    method: str = "get"
    """`post` where what is typed may name a person, and must not stand in an address."""
    hint: str = ""
    """Shown in the field while it is empty, where it takes more than filters."""

    @property
    def query(self) -> str:
        """The query that keeps the filters, with its question mark; empty if there is none."""
        return f"?{urlencode(self.kept)}" if self.kept else ""


@dataclass(frozen=True, slots=True)
class FilterNames:
    """What a list can be filtered by.

    Args:
        path: Of the list, below the root.
        known: The values of each parameter of the query, so far as they are known.
        example: Shown in the field while it is empty.
        single: Parameters of which a list takes one value: a new one replaces it.
        private: Parameters whose values name a person or quote content: in the query they are sealed.
        posted_to: Where the field is sent, below the root, if not by GET to the list itself.
        hint: What the field takes, if more than filters.
    """

    path: str
    known: Mapping[str, Sequence[str]]
    example: str
    single: frozenset[str] = frozenset()
    private: frozenset[str] = PERSONAL
    posted_to: str = ""
    hint: str = ""

    def added(self, visit: Visit) -> SeeOther | None:
        """The list with the filter that was typed; None if nothing was, or it is no filter."""
        typed = _typed(visit)
        if not typed or self._problem(typed):
            return None
        name, _, value = typed.partition(":")
        return self.with_(visit, name.strip(), value.strip())

    def posted(self, visit: Visit) -> SeeOther | None:
        """The list with the filter that was posted, or as it was if nothing was typed; None: it is no filter."""
        if not _typed(visit):
            return SeeOther(f"{self.path}?{urlencode(self.pairs(visit))}")
        return self.added(visit)

    def leading(self, visit: Visit, name: str, value: str) -> str:
        """Address of the list with this filter alone."""
        given = self._sealed(visit, name, value) if name in self.private else value
        return self._address([(name, given)])

    def with_(self, visit: Visit, name: str, value: str) -> SeeOther:
        """The list with one more filter."""
        given = self._sealed(visit, name, value) if name in self.private else value
        kept = [pair for pair in self.pairs(visit) if not (pair[0] == name and name in self.single)]
        return SeeOther(f"{self.path}?{urlencode(list(dict.fromkeys([*kept, (name, given)])))}")

    def values(self, visit: Visit, name: str) -> tuple[str, ...]:
        """The values that a list is filtered by.

        Raises:
            InvalidRequest: Another session sealed one of its filters: without that one, more would match than was meant.
        """
        if lost := self._lost(visit):
            raise InvalidRequest(LOST, field=lost)
        given = (value for key, value in self.pairs(visit) if key == name)
        if name not in self.private:
            return tuple(given)
        return tuple(self._opened(visit, name, value) or value for value in given)

    def by_name(self, visit: Visit) -> dict[str, list[str]]:
        """The values of each filter, for commands; none if another session sealed one of them."""
        if self._lost(visit):
            return {}
        return {name: list(self.values(visit, name)) for name in dict(self.pairs(visit))}

    def resealed(self, visit: Visit) -> SeeOther | None:
        """The same list, where its address names a person openly; None if it doesn't."""
        pairs = self.pairs(visit)
        shut = [
            (name, self._sealed(visit, name, value) if self._is_open(name, value) else value)
            for name, value in pairs
        ]
        return None if shut == pairs else SeeOther(f"{self.path}?{urlencode(shut)}")

    def bar(self, visit: Visit, problem: str = "") -> FilterBar:
        """What the page shows of the filters.

        Args:
            visit: The request.
            problem: Why they can't be used, if that is known already.
        """
        pairs = [pair for pair in self.pairs(visit) if not self._is_lost(visit, *pair)]
        lost, typed = self._lost(visit), _typed(visit)
        return FilterBar(
            ROOT + (self.posted_to or self.path),
            pairs,
            [
                Chip(
                    name,
                    self._opened(visit, name, value) or value if name in self.private else value,
                    self._address([pair for pair in pairs if pair != (name, value)]),
                )
                for name, value in pairs
            ],
            [
                f"{name}:{value}"
                for name, values in self.known.items()
                for value in (values or ("",))
                if (name, value) not in pairs
            ],
            self.example,
            problem
            or (self._problem(typed) if typed else "")
            or (f"{lost}: {LOST}" if lost else ""),
            "post" if self.posted_to else "get",
            self.hint,
        )

    def pairs(self, visit: Visit) -> list[tuple[str, str]]:
        """The filters of the request, as its query has them; in a form that was posted, as its fields.

        Those that another session sealed are among them, so that a page to which they are sent on says so.
        """
        if visit.request.method == "POST":
            given = [(name, value) for name in self.known for value in visit.form.all(name)]
        else:
            given = visit.request.query_params.multi_items()
        return [(name, value) for name, value in given if name in self.known and value]

    def _is_open(self, name: str, value: str) -> bool:
        return name in self.private and not value.startswith(MARK)

    def _is_lost(self, visit: Visit, name: str, value: str) -> bool:
        """Whether another session sealed it."""
        shut = name in self.private and value.startswith(MARK)
        return shut and self._opened(visit, name, value) is None

    def _sealed(self, visit: Visit, name: str, value: str) -> str:
        return sealed(visit.visitor, value, f"filter {name}")

    def _opened(self, visit: Visit, name: str, value: str) -> str | None:
        return opened(visit.visitor, value, f"filter {name}")

    def _lost(self, visit: Visit) -> str:
        """A filter that another session sealed; empty if there is none."""
        pairs = self.pairs(visit)
        return next((name for name, value in pairs if self._is_lost(visit, name, value)), "")

    def _address(self, pairs: Sequence[tuple[str, str]]) -> str:
        return ROOT + self.path + (f"?{urlencode(pairs)}" if pairs else "")

    def _problem(self, typed: str) -> str:
        name, colon, value = typed.partition(":")
        if len(typed) > LONGEST:
            return f"a filter has at most {LONGEST} characters"
        if not colon or not value.strip():
            return f"{typed!r} is no filter: write a name and a value, such as {self.example}"
        if name.strip() not in self.known:
            return f"there is no filter {unknown(name.strip(), list(self.known))}"
        return ""


def time_typed(name: str, text: str) -> datetime | None:
    """The time that a filter has; without an offset it is UTC, wherever this process is. None if there is none.

    Raises:
        InvalidRequest: It is no time.
    """
    try:
        return moment(in_utc(text)).astimezone(UTC) if text else None
    except ValueError as error:
        raise InvalidRequest(str(error), field=name) from None


def in_utc(text: str) -> str:
    """A time with the offset that it lacks; whatever else it is, as it is."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return text
    return text if at.tzinfo else at.replace(tzinfo=UTC).isoformat()


def _typed(visit: Visit) -> str:
    return visit.form.text(ADD) or visit.query(ADD)
