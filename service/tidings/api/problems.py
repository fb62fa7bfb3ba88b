"""Problems as RFC 9457 writes them: every error reply of the API, and the one place where our errors become replies."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import structlog
from starlette.responses import Response

from tidings.delivery.errors import (
    BrokerUnavailable,
    InvalidRequest,
    LedgerRefused,
    LedgerUnavailable,
    NotFound,
    Refused,
)
from tidings_events.errors import InvalidNotification
from tidings_events.problems import with_location

log = structlog.get_logger(__name__)

MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER: Final = 2
"""Seconds after which a caller may try again when a server is unavailable."""


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """A kind of problem, as a caller's program tells them apart."""

    code: str
    status: int
    title: str

    @property
    def uri(self) -> str:
        """Its `type`."""
        return f"urn:tidings:problem:{self.code}"


MALFORMED: Final = ProblemKind("malformed", 400, "The request can't be read")
UNAUTHENTICATED: Final = ProblemKind("unauthenticated", 401, "No valid API key or token")
FORBIDDEN: Final = ProblemKind("forbidden", 403, "The API key or token does not permit this")
NOT_FOUND: Final = ProblemKind("not-found", 404, "There is no such thing")
METHOD_NOT_ALLOWED: Final = ProblemKind("method-not-allowed", 405, "Not possible here")
TIMEOUT: Final = ProblemKind("timeout", 408, "The request did not arrive in time")
CONFLICT: Final = ProblemKind("conflict", 409, "Not possible in this state")
PRECONDITION_FAILED: Final = ProblemKind("precondition-failed", 412, "It has changed since")
TOO_LARGE: Final = ProblemKind("too-large", 413, "The body is too large")
UNSUPPORTED_MEDIA_TYPE: Final = ProblemKind("unsupported-media-type", 415, "The body is not JSON")
INVALID: Final = ProblemKind("invalid", 422, "The request is invalid")
RATE_LIMITED: Final = ProblemKind("rate-limited", 429, "Too many requests")
INTERNAL: Final = ProblemKind("internal", 500, "An error in Tidings")
UNAVAILABLE: Final = ProblemKind("unavailable", 503, "Temporarily unavailable")

KINDS_BY_STATUS: Final = MappingProxyType(
    {
        kind.status: kind
        for kind in (
            *(MALFORMED, UNAUTHENTICATED, FORBIDDEN, NOT_FOUND, METHOD_NOT_ALLOWED, TIMEOUT),
            *(CONFLICT, PRECONDITION_FAILED, TOO_LARGE, UNSUPPORTED_MEDIA_TYPE, INVALID),
            *(RATE_LIMITED, INTERNAL, UNAVAILABLE),
        )
    }
)


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one value of a request."""

    detail: str
    """Names the value, the fault and the remedy."""
    code: str = "invalid"
    pointer: str | None = None
    """JSON pointer into the body, e.g. `/recipient`; empty: the whole body."""
    parameter: str | None = None
    """Name of a parameter in the path or query, if it is not in the body."""
    header: str | None = None
    """Name of a header, if it is there."""

    def as_data(self) -> dict[str, str]:
        """Its JSON."""
        data = {"code": self.code, "detail": self.detail}
        if self.pointer is not None:
            data["pointer"] = self.pointer
        if self.parameter is not None:
            data["parameter"] = self.parameter
        if self.header is not None:
            data["header"] = self.header
        return data


class ApiProblem(Exception):
    """An error reply.

    Args:
        kind: Of `KINDS_BY_STATUS`.
        detail: What happened and what to do, without secrets.
        errors: The values at fault.
        headers: Of the reply.
    """

    def __init__(
        self,
        kind: ProblemKind,
        detail: str,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = headers

    def as_data(self, request_id: str) -> dict[str, Any]:
        """Its JSON."""
        data: dict[str, Any] = {
            "type": self.kind.uri,
            "title": self.kind.title,
            "status": self.kind.status,
            "detail": self.detail,
            "request_id": request_id,
        }
        if self.errors:
            data["errors"] = [error.as_data() for error in self.errors]
        return data

    def response(self, request_id: str) -> Response:
        """The reply."""
        body = json.dumps(self.as_data(request_id), ensure_ascii=False, separators=(",", ":"))
        return Response(
            body.encode("utf-8", "replace"),
            self.kind.status,
            headers={"Cache-Control": "no-store", **self.headers},
            media_type=MEDIA_TYPE,
        )


class ClientGone(Exception):
    """The client closed the connection before its body had arrived: nobody waits for a reply."""


def problem_of(error: Exception) -> ApiProblem:
    """The reply to an error. One that nobody expected is logged, and its text stays here."""
    match error:
        case ApiProblem():
            return error
        case InvalidNotification() | InvalidRequest() | LedgerRefused():
            return invalid(list(_field_errors(error)))
        case Refused():
            return ApiProblem(NOT_FOUND if isinstance(error, NotFound) else CONFLICT, str(error))
        case BrokerUnavailable() | LedgerUnavailable():
            log.warning("request failed: a server is unavailable", error=str(error))
            server = "PostgreSQL" if isinstance(error, LedgerUnavailable) else "RabbitMQ"
            return unavailable(f"{server} is unavailable; try again")
        case ClientGone():
            return ApiProblem(TIMEOUT, "the connection was closed before the body had arrived")
        case _:
            log.error("unexpected error in a request", exc_info=error)
            return ApiProblem(INTERNAL, "the error is in the log, under this request's id")


def _field_errors(
    error: InvalidNotification | InvalidRequest | LedgerRefused,
) -> Iterator[FieldError]:
    match error:
        case InvalidNotification(problems=problems):
            yield from map(body_error, problems)
        case InvalidRequest(field=field):
            yield _of_field(field, str(error))
        case LedgerRefused():
            yield FieldError("notification: has a value that can't be stored", pointer="")


def _of_field(field: str, fault: str) -> FieldError:
    """A header's name begins with a capital, which no field of ours does."""
    detail = f"{field}: {fault}" if field else fault
    if field[:1].isupper():
        return FieldError(detail, header=field)
    return FieldError(detail, pointer=f"/{field}" if field else "")


def invalid(errors: Sequence[FieldError]) -> ApiProblem:
    """The reply to invalid values."""
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return ApiProblem(INVALID, f"{errors[0].detail}{more}", errors)


def in_query(error: InvalidRequest) -> ApiProblem:
    """The reply to a value that an operation refused, of a request without a body."""
    fault = _of_field(error.field, str(error))
    if fault.header is None and error.field:
        fault = FieldError(fault.detail, parameter=error.field)
    return invalid([fault])


def unavailable(detail: str) -> ApiProblem:
    """The reply while something is unavailable for a moment."""
    return ApiProblem(UNAVAILABLE, detail, headers={"Retry-After": str(RETRY_AFTER)})


def body_error(problem: str) -> FieldError:
    """A sentence of the parser, with its code and JSON pointer."""
    located = with_location(problem)
    return FieldError(str(located), located.code, pointer=located.pointer)
