"""A page as data: its address, who may see it, and its handler; and what handlers get and return."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from starlette.requests import Request

from tidings.console.forms import Form
from tidings.console.recently_shown import RecentlyShown
from tidings.console.visitors import Visitor
from tidings.operations.actor import Actor
from tidings.operations.backend import Backend
from tidings.operations.keyring import Keyring
from tidings.operations.scopes import Scope

ROOT: Final = "/console"
"""Where all pages are."""


@dataclass(frozen=True, slots=True)
class ConsoleServices:
    """What stands behind the pages, the same for every request of a process."""

    backend: Backend
    keyring: Keyring
    shown: RecentlyShown = field(default_factory=RecentlyShown)
    """Content that people have open in a form."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One request of a person who is signed in."""

    services: ConsoleServices
    request: Request
    request_id: str
    visitor: Visitor
    form: Form
    """What was sent; empty for a GET."""

    @property
    def backend(self) -> Backend:
        """For the operation."""
        return self.services.backend

    @property
    def actor(self) -> Actor:
        """The person and the request, as history names them."""
        return self.visitor.actor(self.request_id)

    @property
    def tenant(self) -> str | None:
        """The tenant to which everything is limited; None: no limit."""
        return self.visitor.tenant

    @property
    def test(self) -> bool:
        """Whether everything is limited to tests."""
        return self.visitor.test

    @property
    def path(self) -> Mapping[str, str]:
        """The parameters in the path."""
        return self.request.path_params

    def query(self, name: str) -> str:
        """A parameter of the query without the blanks around it; empty if it is missing."""
        return self.request.query_params.get(name, "").strip()

    def queries(self, name: str) -> list[str]:
        """Every value of a parameter that may come several times, without empty ones."""
        given = self.request.query_params.getlist(name)
        return [value.strip() for value in given if value.strip()]

    def may(self, scope: Scope) -> bool:
        """Whether the person has a scope."""
        return scope in self.visitor.scopes


@dataclass(frozen=True, slots=True)
class Html:
    """A page to be rendered."""

    template: str
    """Its file below `html/`."""
    values: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200


@dataclass(frozen=True, slots=True)
class SeeOther:
    """Another page to go to, after a form was carried out."""

    to: str
    """Its address below the root, such as `/jobs`."""
    notice: str = ""
    """What was done, shown there once."""


@dataclass(frozen=True, slots=True)
class Download:
    """A file to be saved."""

    name: str
    parts: AsyncIterator[bytes]
    media_type: str = "text/csv; charset=utf-8"


@dataclass(frozen=True, slots=True)
class JsonAnswer:
    """What the page's script asks for, such as problems of what is typed."""

    data: Any


Answer = Html | SeeOther | Download | JsonAnswer
Handler = Callable[[Visit], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class ConsolePage:
    """One page or action. What it does not say here it does not do: tests walk these."""

    method: Literal["GET", "POST"]
    path: str
    """Below the root; parameters as `{id}`."""
    handler: Handler
    scope: Scope = Scope.READ
    """What a person needs for it."""
    all_tenants: bool = False
    """Whether it concerns all tenants, so that a person of one may not use it."""
    live_only: bool = False
    """Whether it concerns what is no test, so that a person with a test key may not use it."""
    shown_again: Handler | None = None
    """Shows a form with what was sent, and does nothing: of an earlier session it is not carried out. None: a page that has
    all forms shows its fields."""
    in_outages: bool = False
    """Whether it has something to say while PostgreSQL is unavailable: who was signed in a moment ago still sees it."""
