"""The OpenAPI document: the framework's, completed with what the routes say of replies, problems and keys."""

import json
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from typing import Any, Final

from fastapi import FastAPI
from pydantic import TypeAdapter

from tidings.api import problems
from tidings.api.notification_schemas import components
from tidings.api.problem_examples import example
from tidings.api.problems import MEDIA_TYPE, ProblemKind
from tidings.api.route import Documented, RequestHeader, Route

REF: Final = "#/components/schemas/{model}"
KEY: Final = "key"
"""The name of the security scheme of API keys."""
OF_USERS: Final = "token"
"""That of end users' tokens."""
HEADERS: Final[dict[str, Any]] = {
    "X-Request-Id": {
        "description": "Id of the request: the caller's, or a new one.",
        "schema": {"type": "string"},
    }
}
LIMIT_HEADERS: Final[dict[str, Any]] = {
    "RateLimit-Policy": {
        "description": "The quota of the key, or of the end user: `q` requests in `w` seconds.",
        "schema": {"type": "string"},
        "example": '"key";q=5000;w=1',
    },
    "RateLimit": {
        "description": "What is left of it: `r` requests; all of it again in `t` seconds.",
        "schema": {"type": "string"},
        "example": '"key";r=4999;t=1',
    },
}
LIMIT_HEADERS_OF_USERS: Final[dict[str, Any]] = {
    name: {**header, "example": example}
    for (name, header), example in zip(
        LIMIT_HEADERS.items(), ('"user";q=50;w=1', '"user";r=49;t=1'), strict=True
    )
}
RETRY_AFTER: Final[dict[str, Any]] = {
    "Retry-After": {
        "description": "Seconds after which to try again.",
        "schema": {"type": "integer"},
    }
}
DESCRIPTION: Final = """
Submit notifications, read what became of them, and act on failures.

Every request under `/v1` needs `Authorization: Bearer` and an API key with the scope that its route names. A test key
(`tk_test_…`) sees and sends nothing but tests, which reach nobody. Routes under `/v1/inbox` need the token of an
application's end user instead, and show and change what is that user's own.
Errors are `application/problem+json` (RFC 9457); `errors` names each value at fault. `X-Request-Id` is accepted and
returned, and stands in the log and in the audit trail.
"""
PROBLEM: Final[dict[str, Any]] = {
    "type": "object",
    "description": "An error (RFC 9457).",
    "required": ["type", "title", "status", "detail", "request_id"],
    "additionalProperties": False,
    "properties": {
        "type": {
            "type": "string",
            "enum": sorted(kind.uri for kind in problems.KINDS_BY_STATUS.values()),
            "description": "The kind of problem.",
        },
        "title": {"type": "string", "description": "The kind in words."},
        "status": {"type": "integer", "description": "The HTTP status."},
        "detail": {"type": "string", "description": "What happened, and what to do."},
        "request_id": {"type": "string", "description": "The same as `X-Request-Id`."},
        "errors": {
            "type": "array",
            "description": "Each value at fault.",
            "items": {
                "type": "object",
                "required": ["code", "detail"],
                "additionalProperties": False,
                "properties": {
                    "code": {"type": "string", "description": "The kind of fault."},
                    "detail": {"type": "string", "description": "Value, fault and remedy."},
                    "pointer": {
                        "type": "string",
                        "description": "JSON pointer into the body; empty: the whole body.",
                    },
                    "parameter": {
                        "type": "string",
                        "description": "Name of a parameter in the path or query.",
                    },
                    "header": {"type": "string", "description": "Name of a header."},
                },
            },
        },
    },
}


def document(app: FastAPI, routes: Iterable[Route]) -> dict[str, Any]:
    """The whole document."""
    app.title, app.version, app.description = "Tidings", version("tidings"), DESCRIPTION.strip()
    found = app.openapi()
    schemas = found.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas["Problem"] = PROBLEM
    schemas.update(components())
    found["components"]["securitySchemes"] = {
        KEY: {
            "type": "http",
            "scheme": "bearer",
            "description": "An API key, `tk_live_…` or `tk_test_…`.",
        },
        OF_USERS: {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "A token of an end user, which the application's login has signed.",
        },
    }
    for route in routes:
        operation = found["paths"][route.path][route.method.lower()]
        _complete(operation, route, schemas)
    return found


def encoded(found: Mapping[str, Any]) -> bytes:
    """The document as it is served."""
    return json.dumps(found, ensure_ascii=False, separators=(",", ":")).encode()


def _complete(operation: dict[str, Any], route: Route, schemas: dict[str, Any]) -> None:
    operation["security"] = _security(route)
    if route.end_users:
        needed = "Needs a token of an end user; whose inbox it is follows from it."
        operation["description"] = f"{route.description}\n\n{needed}".strip()
    if route.scope is not None:
        operation["x-scope"] = route.scope.value
        scope = f"Needs the scope `{route.scope}`."
        operation["description"] = f"{route.description}\n\n{scope}".strip()
    if route.body_schema is not None:
        operation["requestBody"] = _request_body(route)
    elif route.body_model is not None:
        operation["requestBody"]["required"] = route.body_required
        if route.body_example is not None:
            content = operation["requestBody"]["content"]["application/json"]
            content["example"] = route.body_example
    operation["responses"] = {
        **{str(status): _reply(reply, route, schemas) for status, reply in route.replies.items()},
        **_problems(route),
    }
    read = dict(route.request_headers)
    if route.etag:
        read["If-None-Match"] = RequestHeader("ETags of earlier replies.")
        operation["responses"]["304"] = {
            "description": "It has not changed since.",
            "headers": HEADERS,
        }
    if read:
        operation.setdefault("parameters", []).extend(
            {
                "name": name,
                "in": "header",
                "required": False,
                "description": header.meaning,
                "schema": {
                    "type": "string",
                    **({"pattern": header.pattern} if header.pattern else {}),
                },
            }
            for name, header in read.items()
        )


def _limit_headers(route: Route) -> dict[str, Any]:
    if route.public:
        return {}
    return LIMIT_HEADERS_OF_USERS if route.end_users else LIMIT_HEADERS


def _security(route: Route) -> list[dict[str, list[str]]]:
    if route.public:
        return []
    return [{OF_USERS if route.end_users else KEY: []}]


def _request_body(route: Route) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": route.body_schema}
    if route.body_example is not None:
        content["example"] = route.body_example
    return {"required": True, "content": {"application/json": content}}


def _reply(reply: Documented, route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    headers = {**HEADERS, **_limit_headers(route)}
    headers |= {
        name: {"description": meaning, "schema": {"type": "string"}}
        for name, meaning in reply.headers.items()
    }
    if route.etag:
        headers["ETag"] = {"description": "Tag of this reply.", "schema": {"type": "string"}}
    described: dict[str, Any] = {"description": reply.meaning, "headers": headers}
    if reply.model is not None:
        schema = TypeAdapter(reply.model).json_schema(ref_template=REF, mode="serialization")
        schemas.update(schema.pop("$defs", {}))
        content: dict[str, Any] = {"schema": _named(schema, schemas)}
        if reply.example is not None:
            content["example"] = reply.example
        others = {
            media_type: {"schema": {"type": "string"}, "example": text}
            for media_type, text in reply.other_forms.items()
        }
        described["content"] = {reply.media_type: content, **others}
    return described


def _named(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    """A model gets a name of its own, so that a generated client has a class for it."""
    name = schema.get("title")
    if schema.get("type") != "object" or not isinstance(name, str) or not name.isidentifier():
        return schema
    schemas[name] = schema
    return {"$ref": REF.format(model=name)}


def problems_of(route: Route) -> Iterator[ProblemKind]:
    """Every problem that a route may answer."""
    yield problems.INTERNAL
    yield problems.UNAVAILABLE
    if not route.public:
        yield from (problems.UNAUTHENTICATED, problems.FORBIDDEN, problems.RATE_LIMITED)
    yield problems.INVALID
    if route.reads_body:
        yield from (problems.TIMEOUT, problems.TOO_LARGE, problems.UNSUPPORTED_MEDIA_TYPE)
    yield from route.problems


def _problems(route: Route) -> dict[str, Any]:
    kinds: Iterable[ProblemKind] = dict.fromkeys(problems_of(route))
    return {
        str(kind.status): _problem(kind, route)
        for kind in sorted(kinds, key=lambda kind: kind.status)
        if kind.status not in route.replies
    }


def _problem(kind: ProblemKind, route: Route) -> dict[str, Any]:
    headers = {**HEADERS}
    if kind in {problems.RATE_LIMITED, problems.UNAVAILABLE}:
        headers |= RETRY_AFTER
    if kind is not problems.UNAUTHENTICATED:
        headers |= _limit_headers(route)
    return {
        "description": kind.title,
        "headers": headers,
        "content": {
            MEDIA_TYPE: {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "example": example(kind, route),
            }
        },
    }
