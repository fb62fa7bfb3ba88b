"""Filters of a list as chips: the state is the query, each chip a link without it, and a field adds one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from tidings.console.page import ROOT, SeeOther, Visit
from tidings.operations.suggestions import unknown

ADD = "add"
"""The parameter with a filter to be added, such as `channel:email`."""


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
    """The query as it is, which adding a filter keeps."""
    active: Sequence[Chip]
    suggestions: Sequence[str]
    """What the field completes: `channel:email`, `user_id:`."""
    example: str
    problem: str
    """Why what was typed is no filter; empty if it is one."""


@dataclass(frozen=True, slots=True)
class FilterNames:
    """What a list can be filtered by.

    Args:
        path: Of the list, below the root.
        known: The values of each parameter of the query, so far as they are known.
        example: Shown in the field while it is empty.
        single: Parameters of which a list takes one value: a new one replaces it.
    """

    path: str
    known: Mapping[str, Sequence[str]]
    example: str
    single: frozenset[str] = frozenset()

    def added(self, visit: Visit) -> SeeOther | None:
        """The list with the filter that was typed; None if nothing was, or it is no filter."""
        typed = visit.query(ADD)
        if not typed or self._problem(typed):
            return None
        name, _, value = typed.partition(":")
        kept = [
            pair for pair in self._pairs(visit) if not (pair[0] == name and name in self.single)
        ]
        pairs = dict.fromkeys([*kept, (name.strip(), value.strip())])
        return SeeOther(f"{self.path}?{urlencode(list(pairs))}")

    def bar(self, visit: Visit) -> FilterBar:
        """What the page shows of the filters."""
        pairs, typed = self._pairs(visit), visit.query(ADD)
        return FilterBar(
            ROOT + self.path,
            pairs,
            [
                Chip(name, value, self._address([pair for pair in pairs if pair != (name, value)]))
                for name, value in pairs
            ],
            [
                f"{name}:{value}"
                for name, values in self.known.items()
                for value in (values or ("",))
                if (name, value) not in pairs
            ],
            self.example,
            self._problem(typed) if typed else "",
        )

    def _pairs(self, visit: Visit) -> list[tuple[str, str]]:
        return [
            (name, value)
            for name, value in visit.request.query_params.multi_items()
            if name in self.known and value
        ]

    def _address(self, pairs: Sequence[tuple[str, str]]) -> str:
        return ROOT + self.path + (f"?{urlencode(pairs)}" if pairs else "")

    def _problem(self, typed: str) -> str:
        name, colon, value = typed.partition(":")
        if not colon or not value.strip():
            return f"{typed!r} is no filter: write a name and a value, such as {self.example}"
        if name.strip() not in self.known:
            return f"there is no filter {unknown(name.strip(), list(self.known))}"
        return ""
