"""Builds the application from the routes."""

import inspect
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from functools import cache
from typing import Annotated, Any

from fastapi import Body, FastAPI, Query
from fastapi import Path as InPath
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from tidings.api.endpoint import endpoint_of
from tidings.api.limits import BodyBudget
from tidings.api.live.stream import InboxStreams
from tidings.api.openapi import document
from tidings.api.problems import INTERNAL, KINDS_BY_STATUS, METHOD_NOT_ALLOWED, ApiProblem
from tidings.api.route import Route, Services
from tidings.operations.backend import Backend


class _ServedRoute(APIRoute):
    """A route of ours in the framework, which finds it and documents it; `endpoint_of` serves it.

    The framework's own parsing takes 50 µs a request, most of what a route may take, and its errors are not ours.
    """

    def __init__(self, route: Route, services: Services) -> None:
        self.described = route
        self.respond = endpoint_of(route, services)
        super().__init__(
            route.path.replace("{user_id}", "{user_id:path}"),
            _documented(route),
            methods=[route.method],
            summary=route.summary,
            description=route.description or None,
            tags=[route.tag],
            operation_id=operation_id(route),
            response_model=None,
            include_in_schema=True,
        )
        # An application's ids of users may have slashes. Metrics and documents have the path as it is written.
        self.path = route.path

    def get_route_handler(self) -> Any:
        """Called by the framework once, for what serves the route."""
        return self.respond


class DirectRoutes:
    """Serves routes without parameters in their path, found by a look-up; the framework serves the rest.

    Its search and its five layers take a hundred microseconds a request, a quarter of what a submission takes.

    Args:
        app: The framework's application.
    """

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._found: dict[str, dict[str, _ServedRoute]] = {}
        for served in app.router.routes:
            if isinstance(served, _ServedRoute) and "{" not in served.path:
                self._found.setdefault(served.path, {})[served.described.method] = served

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        methods = self._found.get(scope["path"])
        if methods is None:
            await self._app(scope, receive, send)
            return
        served = methods.get(scope["method"])
        if served is None:
            # The framework would take `/v1/notifications/batch` for a notification with the id `batch`.
            response = _not_allowed(scope["method"], methods).response(scope["tidings.request_id"])
        else:
            scope["route"] = served
            response = await served.respond(Request(scope, receive))
        await response(scope, receive, send)


def application(
    routes: Iterable[Route],
    backend: Backend,
    checks: Callable[[], Mapping[str, bool]],
    streams: InboxStreams,
) -> ASGIApp:
    """The application that serves these routes, and answers everything else with a problem."""
    return DirectRoutes(framework_application(routes, backend, checks, streams))


def framework_application(
    routes: Iterable[Route],
    backend: Backend,
    checks: Callable[[], Mapping[str, bool]],
    streams: InboxStreams | None = None,
) -> FastAPI:
    """The framework's part of it, which documents the routes too."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    listed = tuple(routes)
    app.add_exception_handler(HTTPException, _no_route(_methods(listed)))
    bodies = BodyBudget(backend.settings.api.max_bodies_bytes)
    services = Services(backend, checks, bodies, cache(lambda: document(app, listed)), streams)
    for route in listed:
        app.router.routes.append(_ServedRoute(route, services))
    return app


def _methods(routes: Iterable[Route]) -> Mapping[str, set[str]]:
    """The methods of each path."""
    found: dict[str, set[str]] = {}
    for route in routes:
        found.setdefault(route.path, set()).add(route.method)
    return found


def operation_id(route: Route) -> str:
    """Its name in generated clients: `show` in `notifications` is `notifications_show`."""
    handler = getattr(route.handler, "__name__", "call").strip("_")
    return f"{route.tag.replace(' ', '_')}_{handler}"


def _no_route(
    methods: Mapping[str, Collection[str]],
) -> Callable[[Request, Exception], Awaitable[Response]]:
    """404 and 405 of the framework, which of a path's methods knows only those of one route."""

    async def answer(request: Request, error: Exception) -> Response:
        request_id: str = request.scope["tidings.request_id"]
        status = error.status_code if isinstance(error, HTTPException) else 500
        if status == 405:
            possible = methods[request.scope["route"].path]
            return _not_allowed(request.method, possible).response(request_id)
        kind = KINDS_BY_STATUS.get(status, INTERNAL)
        nothing = "there is nothing at this address; `/docs` lists the routes"
        return ApiProblem(kind, nothing if status == 404 else kind.title).response(request_id)

    return answer


def _not_allowed(method: str, possible: Collection[str]) -> ApiProblem:
    allow = ", ".join(sorted(possible))
    detail = f"`{method}` is not possible here; possible is {allow}"
    return ApiProblem(METHOD_NOT_ALLOWED, detail, headers={"Allow": allow})


def _documented(route: Route) -> Callable[..., Any]:
    """A function with the signature of a route, from which the framework documents its parameters."""

    async def never_called() -> None:
        raise NotImplementedError

    parameters = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            annotation=Annotated[
                field.annotation,
                InPath(description=field.description, examples=field.examples),
            ],
        )
        for name, field in route.path_model.model_fields.items()
    ]
    if route.query_model.model_fields:
        parameters.append(_parameter("query", Annotated[route.query_model, Query()]))
    if route.body_model is not None:
        parameters.append(_parameter("body", Annotated[route.body_model, Body()]))
    never_called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # read by inspect
    return never_called


def _parameter(name: str, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation)
