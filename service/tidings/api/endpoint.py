"""Serves one route: permission, parsing, the handler, the reply."""

from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from tidings.api.etags import etag_of, matches
from tidings.api.parsing import body_of, path_of, query_of
from tidings.api.principal import EndUser, Principal
from tidings.api.problems import FORBIDDEN, ApiProblem, in_query, problem_of
from tidings.api.route import Call, Reply, Route, Services
from tidings.delivery.errors import InvalidRequest
from tidings.operations.json_views import as_bytes
from tidings.operations.test_mode import check_test

Sender = Principal | EndUser | None


def endpoint_of(
    route: Route, services: Services
) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    """What the framework calls for a route. It answers every error with a problem, and raises none."""
    most = services.backend.settings.api.max_body_bytes

    async def endpoint(request: Request) -> Response:
        request_id: str = request.scope["tidings.request_id"]
        caller: Sender = request.scope.get("tidings.sender")
        try:
            _permit(route, caller)
            with services.bodies.share() as share:
                path = path_of(route, request)
                await _check_test(route, services, caller, path)
                call = Call(
                    services,
                    request_id,
                    path,
                    query_of(route, request),
                    await body_of(route, request, most, share),
                    request.headers,
                    caller,
                )
                return _response(route, request, await route.handler(call))
        except InvalidRequest as error:
            problem = problem_of(error) if route.reads_body else in_query(error)
            return problem.response(request_id)
        except Exception as error:  # noqa: BLE001  # whatever it is, the caller gets a problem
            return problem_of(error).response(request_id)

    return endpoint


def _permit(route: Route, caller: Sender) -> None:
    if isinstance(caller, EndUser) and not route.end_users:
        raise ApiProblem(FORBIDDEN, "this is not for end users: it needs an API key")
    if route.end_users and not isinstance(caller, EndUser):
        raise ApiProblem(
            FORBIDDEN, "this is for end users: it needs a token that names one, not a key"
        )
    if route.scope is None or isinstance(caller, EndUser):
        return
    if caller is None or route.scope not in caller.scopes:
        raise ApiProblem(
            FORBIDDEN, f"this needs a key with the scope `{route.scope}` (`tidings keys create`)"
        )
    if caller.test and not route.for_test_keys:
        raise ApiProblem(FORBIDDEN, "this concerns live notifications too: a test key can't do it")
    if not route.tenant_bound and caller.tenant is not None:
        raise ApiProblem(FORBIDDEN, "this concerns all tenants, and needs a key of all (`*`)")


async def _check_test(route: Route, services: Services, caller: Sender, path: Any) -> None:
    """Keep a test key from all that is no test: for it, that does not exist."""
    if route.named is not None and isinstance(caller, Principal) and caller.test:
        await check_test(services.backend, route.named, str(path.id), caller.tenant)


def _response(route: Route, request: Request, reply: Reply) -> Response:
    headers = dict(reply.headers)
    if reply.data is None:
        return Response(status_code=reply.status, headers=headers)
    if isinstance(reply.data, Response):
        return reply.data
    if isinstance(reply.data, AsyncIterator):
        headers.setdefault("Cache-Control", "no-store")
        return StreamingResponse(reply.data, reply.status, headers, media_type=reply.media_type)
    body = reply.data if isinstance(reply.data, bytes) else as_bytes(reply.data)
    if not route.public:
        headers.setdefault("Cache-Control", "private, no-cache" if route.etag else "no-store")
    if route.etag and reply.status == 200:
        headers["ETag"] = etag_of(body)
        if matches(request.headers.get("if-none-match", ""), headers["ETag"]):
            return Response(status_code=304, headers=headers)
    return Response(body, reply.status, headers, media_type=reply.media_type)
