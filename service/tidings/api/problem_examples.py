"""An example of each problem that a route may answer, as it answers it."""

from collections.abc import Mapping
from typing import Any, Final

from tidings.api import problems
from tidings.api.problems import ApiProblem, FieldError, ProblemKind
from tidings.api.replies.dead_letters import DEAD_LETTER
from tidings.api.replies.inbox import MESSAGE
from tidings.api.replies.jobs import JOB
from tidings.api.replies.notifications import EXAMPLE
from tidings.api.route import Route

REQUEST_ID: Final = "4bf92f3577b34da6a3ce929d0e0e4736"
DETAILS: Final[Mapping[ProblemKind, str]] = {
    problems.MALFORMED: "the request can't be read",
    problems.UNAUTHENTICATED: "this API key is unknown, revoked or expired",
    problems.TOO_LARGE: "at most 16,777,216 bytes are accepted here",
    problems.UNSUPPORTED_MEDIA_TYPE: "the Content-Type is 'text/plain'; send `Content-Type: application/json`",
    problems.RATE_LIMITED: "this key may send 5,000 requests in 1 s; try again in 1 s",
    problems.INTERNAL: "the error is in the log, under this request's id",
    problems.UNAVAILABLE: "PostgreSQL is unavailable; try again",
    problems.TIMEOUT: "the body did not arrive within 30 s",
    problems.PRECONDITION_FAILED: "it has changed since it was read; read it again",
}
MISSING: Final = {
    "notifications": f"there is no notification {EXAMPLE['id']}",
    "dead letters": f"there is no dead letter {DEAD_LETTER['id']}; `tidings dead list` shows them",
    "jobs": f"there is no job {JOB['id']}",
    "schedules": "there is no schedule 'standup'",
    "alerts": "there is no rule 'otp'",
    "outbox": f"{EXAMPLE['id']}: the outbox has no such entry",
    "sessions": "there is no such session: it is over",
    "channels": "channel: 'emial' is unknown (did you mean 'email'?); known are email, sms, whatsapp, webhook, in_app",
    "documents": "this service has release 1.0.0: load `/inbox/v1/…`",
    "inbox": f"there is no message {MESSAGE['id']} in this inbox",
    "templates": 'template "opt": there is no such template in /etc/tidings/templates. Did you mean "otp"?',
}
"""Details of 404, by the route's tag."""
CONFLICTS: Final = {
    "notifications": f"the id {EXAMPLE['id']} belongs to a notification with other content; give this one an id of its own",
    "dead letters": f"dead letter {DEAD_LETTER['id']} is discarded",
    "jobs": f"job {JOB['id']} is finished, so it can't become paused",
    "schedules": "there is a schedule 'standup' already; delete it, or choose another name",
    "alerts": "there is a rule 'otp' already; choose another name",
    "outbox": f"{EXAMPLE['id']}: it has been published",
}
"""Details of 409, likewise."""
IN_BODY: Final = FieldError(
    "recipient: is missing; write it like jane@example.com", "missing", pointer="/recipient"
)
IN_PATH: Final = FieldError(
    'id: "1" is not a UUID; write it like 0198c2f4-5a10-7c3e-9d55-3f6f1a2b4c5d',
    "format",
    parameter="id",
)
IN_QUERY: Final = FieldError(
    "color: is not a parameter of this route; remove it", "unknown_field", parameter="color"
)


def example(kind: ProblemKind, route: Route) -> dict[str, Any]:
    """What the route may answer."""
    match kind:
        case problems.NOT_FOUND:
            problem = ApiProblem(kind, MISSING[route.tag])
        case problems.CONFLICT:
            problem = ApiProblem(kind, CONFLICTS[route.tag])
        case problems.FORBIDDEN if route.end_users:
            problem = ApiProblem(
                kind, "this is for end users: it needs a token that names one, not a key"
            )
        case problems.RATE_LIMITED if route.end_users:
            problem = ApiProblem(kind, "this user may send 50 requests in 1 s; try again in 1 s")
        case problems.UNAUTHENTICATED if route.end_users:
            problem = ApiProblem(kind, "this token has expired")
        case problems.FORBIDDEN:
            scope = f"this needs a key with the scope `{route.scope}` (`tidings keys create`)"
            problem = ApiProblem(kind, scope)
        case problems.INVALID:
            fault = _fault(route)
            problem = ApiProblem(kind, fault.detail, (fault,))
        case _:
            problem = ApiProblem(kind, DETAILS[kind])
    return problem.as_data(REQUEST_ID)


def _fault(route: Route) -> FieldError:
    if route.reads_bytes:
        return IN_BODY
    return IN_PATH if "{id}" in route.path and route.tag != "schedules" else IN_QUERY
