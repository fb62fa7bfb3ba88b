"""Parses the parameters and the body of a request with its route's models."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from starlette.requests import Request

from tidings.api.limits import BodyShare, BoundedBody
from tidings.api.problems import (
    UNSUPPORTED_MEDIA_TYPE,
    ApiProblem,
    FieldError,
    body_error,
    invalid,
)
from tidings.api.route import Parameters, Route
from tidings_events.problems import ContractProblem, describe_request, not_json


def path_of(route: Route, request: Request) -> Parameters:
    """The parameters in the path.

    Raises:
        ApiProblem: One of them is invalid.
    """
    return _parameters(route.path_model, request.path_params)


def query_of(route: Route, request: Request) -> Parameters:
    """The parameters in the query. Raises like `path_of`."""
    model = route.query_model
    if not request.scope["query_string"]:
        return _parameters(model, {})
    return _parameters(model, _collected(model, request.query_params.multi_items()))


def _collected(model: type[Parameters], items: Iterable[tuple[str, str]]) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    for name, value in items:
        found.setdefault(name, []).append(value)
    return {
        name: values if len(values) > 1 or _is_list(model, name) else values[0]
        for name, values in found.items()
    }


def _is_list(model: type[Parameters], name: str) -> bool:
    field = model.model_fields.get(name)
    return field is not None and _has_list(field.annotation)


def _has_list(annotation: Any) -> bool:
    origin = get_origin(annotation) or annotation
    return origin in (list, tuple, frozenset, set) or any(
        _has_list(part) for part in get_args(annotation)
    )


def _parameters(model: type[Parameters], values: Mapping[str, Any]) -> Parameters:
    if unstorable := [name for name, value in values.items() if _has_nul(value)]:
        raise invalid(
            [
                FieldError(f"{name}: has the character U+0000; leave it out", parameter=name)
                for name in unstorable
            ]
        )
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problems = [
            FieldError(
                _of_parameter(problem, model), problem.code, parameter=str(problem.location[0])
            )
            for problem in describe_request(error, model)
        ]
    raise invalid(problems)


def _has_nul(value: Any) -> bool:
    """Whether it has the one character that PostgreSQL stores nowhere."""
    return any("\0" in text for text in ([value] if isinstance(value, str) else value))


def _of_parameter(problem: ContractProblem, model: type[Parameters]) -> str:
    """The sentence about a parameter. It names no model: a caller doesn't know those of queries."""
    if problem.code != "unknown_field":
        return str(problem)
    name, _, advice = problem.rpartition(f"is not a field of {model.__name__}; ")
    return f"{name}is not a parameter of this route; {advice}"


async def body_of(route: Route, request: Request, most: int, share: BodyShare) -> Any:
    """The body: a model, or bytes; None if the route reads none.

    Args:
        most: Bytes of it.
        share: Its part of what all bodies may take.

    Raises:
        ApiProblem: It is no JSON, too large or invalid, or too much is being read.
    """
    if not route.reads_body:
        return None
    if route.body_model is not None and _has_none(request) and not route.body_required:
        return _validated(route.body_model, b"{}")
    declared = request.headers.get("content-type", "")
    if not _is_json(declared):
        raise ApiProblem(
            UNSUPPORTED_MEDIA_TYPE,
            f"the Content-Type is {declared[:80]!r}; send `Content-Type: application/json`",
        )
    length = request.headers.get("content-length")
    bounded = BoundedBody(
        request.receive,
        min(most, route.max_body or most),
        None if length is None else length.encode(),
        share,
    )
    body = await bounded.read()
    if route.reads_bytes or route.body_model is None:
        return body
    return _validated(route.body_model, body)


def _has_none(request: Request) -> bool:
    """Whether a request has no body (RFC 9112, 6.3)."""
    headers = request.headers
    return headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers


def _is_json(content_type: str) -> bool:
    media = content_type.partition(";")[0].strip().lower()
    return media == "application/json" or (
        media.startswith("application/") and media.endswith("+json")
    )


def _validated(model: type[BaseModel], body: bytes) -> BaseModel:
    try:
        return model.model_validate_json(body, strict=True)
    except ValidationError as error:
        problems = list(_body_errors(error, model, body))
    raise invalid(problems)


def _body_errors(
    error: ValidationError, model: type[BaseModel], body: bytes
) -> Iterator[FieldError]:
    for details in error.errors(include_url=False)[:1]:
        if details["type"] == "json_invalid":
            yield FieldError(not_json(_fault(details), body), "not_json", pointer="")
            return
    for problem in describe_request(error, model):
        yield body_error(problem)


def _fault(details: ErrorDetails) -> str:
    return str(details["ctx"]["error"])
