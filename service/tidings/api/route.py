"""A route as data: its address, who may use it, what it reads and replies, and its handler."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.datastructures import Headers

from tidings.api.limits import BodyBudget
from tidings.api.live.stream import InboxStreams
from tidings.api.principal import EndUser, Principal
from tidings.api.problems import FORBIDDEN, ApiProblem, ProblemKind
from tidings.operations.actor import Actor
from tidings.operations.backend import Backend
from tidings.operations.scopes import Scope
from tidings.operations.test_mode import Named


class Parameters(BaseModel):
    """Parameters of a path or query; a route without any has this."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class AnyParameters(Parameters):
    """Parameters of a public route: load balancers and browsers may add their own, which are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)


Path = TypeVar("Path", bound=Parameters)
Query = TypeVar("Query", bound=Parameters)
Body = TypeVar("Body")


@dataclass(frozen=True, slots=True)
class Services:
    """What stands behind the routes, the same for every request of a process."""

    backend: Backend
    checks: Callable[[], Mapping[str, bool]]
    """The conditions of being ready, by name."""
    bodies: BodyBudget
    """What the bodies of requests may take."""
    document: Callable[[], Mapping[str, Any]] = dict
    """The OpenAPI document."""
    streams: InboxStreams | None = None
    """Live connections; only a process that serves has them."""

    @property
    def live_streams(self) -> InboxStreams:
        """Live connections."""
        assert self.streams is not None  # noqa: S101  # it serves
        return self.streams


@dataclass(frozen=True, slots=True)
class Call(Generic[Path, Query, Body]):
    """One request, authenticated and parsed."""

    services: Services
    request_id: str
    path: Path
    query: Query
    body: Body
    """The route's model; bytes if it reads them itself; None if it reads no body."""
    headers: Headers
    caller: Principal | EndUser | None
    """None on a public route."""

    @property
    def backend(self) -> Backend:
        """For the operation."""
        return self.services.backend

    @property
    def principal(self) -> Principal:
        """The sender; only on routes that need a key."""
        assert isinstance(self.caller, Principal)  # noqa: S101  # it was let in by a scope
        return self.caller

    @property
    def user(self) -> EndUser:
        """The sender; only on routes for end users, to whom it was let in by its token."""
        assert isinstance(self.caller, EndUser)  # noqa: S101  # the handler has looked
        return self.caller

    @property
    def tenant(self) -> str | None:
        """The tenant to which everything is limited; None: no limit."""
        return self.principal.tenant

    @property
    def test(self) -> bool:
        """Whether everything is limited to tests."""
        return self.principal.test

    def tests(self, wanted: bool | None) -> bool:
        """Whether tests are meant, or else what is no test: a test key has nothing but tests.

        Args:
            wanted: What the request says; None if it doesn't.

        Raises:
            ApiProblem: A test key asks for what is no test.
        """
        if self.test and wanted is False:
            raise ApiProblem(FORBIDDEN, "this is a test key, which sees nothing but tests")
        return self.test or bool(wanted)

    @property
    def actor(self) -> Actor:
        """The sender and its request, as the audit trail names them."""
        return self.principal.actor(self.request_id)


AnyCall = Call[Any, Any, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """What a handler returns."""

    data: object = None
    """A view, or data that JSON can say; bytes are sent as they are, and an iterator's bytes one by one; None: no body."""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    media_type: str = "application/json"


Handler = Callable[[Any], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Documented:
    """One successful reply in the OpenAPI document."""

    meaning: str
    model: Any = None
    """Its schema: a model, or a type that pydantic can describe. None: no body."""
    example: Any = None
    media_type: str = "application/json"
    other_forms: Mapping[str, str] = field(default_factory=dict)
    """The same as text of other media types: an example of each."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers by name, with their meaning."""


NAMED: Final[Mapping[str, Named]] = {
    "/v1/notifications": Named.NOTIFICATION,
    "/v1/dead-letters": Named.NOTIFICATION,
    "/v1/outbox": Named.NOTIFICATION,
    "/v1/jobs": Named.JOB,
    "/v1/schedules": Named.SCHEDULE,
}
"""What the ids below an address name; a dead letter has its own and its notification's."""


@dataclass(frozen=True, slots=True)
class RequestHeader:
    """A header of a request in the OpenAPI document."""

    meaning: str
    pattern: str | None = None
    """What its value looks like, as a regular expression; None: any."""


@dataclass(frozen=True, slots=True)
class Route:
    """One route. What it does not say here it does not do: tests and the OpenAPI document are read from it."""

    method: str
    path: str
    handler: Handler
    scope: Scope | None
    """The scope that a key needs; None: it takes no key, and is for end users or public."""
    summary: str
    replies: Mapping[int, Documented]
    tag: str
    description: str = ""
    end_users: bool = False
    """Whether it serves the end user of an application, by a token and not by a key, what is that user's own."""
    tenant_bound: bool = True
    """Whether it shows or changes what belongs to a tenant; if not, only keys of all tenants may use it, or it
    tells nothing of any."""
    live_only: bool = False
    """Whether a test key may not use it: it changes what is there for what is no test."""
    path_model: type[Parameters] = Parameters
    query_model: type[Parameters] = Parameters
    body_model: type[BaseModel] | None = None
    """Its body's model; None: it reads no body."""
    reads_bytes: bool = False
    """Whether the handler gets the body as bytes, unparsed; `body_schema` describes it."""
    body_schema: Mapping[str, Any] | None = None
    """JSON schema of a body that is read as bytes."""
    body_example: Any = None
    max_body: int | None = None
    """Bytes of its body, at most; None: what the settings say."""
    request_headers: Mapping[str, RequestHeader] = field(default_factory=dict)
    """Headers of a request that it reads."""
    problems: Sequence[ProblemKind] = ()
    """Problems of its own, beside those that any route may answer."""
    etag: bool = False
    """Whether its reply has an ETag and `If-None-Match` is honoured."""

    @property
    def named(self) -> Named | None:
        """What the id in its path names for a key; None if it has none."""
        if self.end_users:
            return None
        above, id_, _ = self.path.partition("/{id}")
        return NAMED[above] if id_ else None

    @property
    def for_test_keys(self) -> bool:
        """Whether a test key may use it: not if it changes what tests share with the rest."""
        return not self.live_only and (self.tenant_bound or self.scope is Scope.READ)

    @property
    def public(self) -> bool:
        """Whether neither key nor token is needed; a test holds the list of these."""
        return self.scope is None and not self.end_users

    @property
    def body_required(self) -> bool:
        """Whether there must be a body: not if its model takes `{}`."""
        if self.body_model is None:
            return True
        try:
            self.body_model.model_validate({})
        except ValidationError:
            return True
        return False

    @property
    def reads_body(self) -> bool:
        """Whether it has a body."""
        return self.body_model is not None or self.reads_bytes
