"""`/llms.txt`: the API for a program that reads, as the llms.txt proposal has it (llmstxt.org): what it is, and where what is."""

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any, Final

from tidings.api.docs_page import operations_of

SUMMARY: Final = (
    "Delivers notifications by email, SMS, WhatsApp, webhook and in-app inbox, keeps every attempt on record, and lets people and "
    "programs act on what failed."
)
NOTES: Final = (
    "Send an API key with every request: `Authorization: Bearer tk_live_…`. Its scopes are `send`, `read`, "
    "`reveal`, `operate` and `admin`; each route names the one it needs.",
    "With a test key, `tk_test_…`, everything is recorded and nobody reached; `fails-once@tidings.test` and others fail on "
    "purpose.",
    "Routes under `/v1/inbox` are for an application's end users, and take a token (JWT) of theirs in place of a key.",
    "A 202 is a promise: the notification will not be lost. Repeat a request whose answer was lost with the same "
    "`Idempotency-Key`.",
    "`POST /v1/notifications/validate` and `POST /v1/explain` say what would happen, and send nothing.",
    "Errors are `application/problem+json` (RFC 9457); `errors` names each value at fault.",
    "Lists go on with `next_cursor`: repeat the request with `cursor` and the same filters.",
    "Act on many by a job: it is looked at first, and does nothing before it is started.",
)
OPTIONAL: Final = frozenset({"health", "documents"})
"""Tags of what a caller rarely needs; the proposal has a section for it."""


def text(document: Mapping[str, Any]) -> bytes:
    """The text.

    Args:
        document: The OpenAPI document.
    """
    return "\n".join(_lines(document)).encode() + b"\n"


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    yield f"# {document['info']['title']}"
    yield f"\n> {SUMMARY}\n"
    yield from (f"- {note}" for note in NOTES)
    yield "\n## Documents\n"
    yield "- [OpenAPI 3.1](/openapi.json): every route, reply and problem, with schemas and examples; make a client of it"
    yield "- [Reference](/docs): the same as a page"
    sections = groupby(operations_of(document), key=lambda operation: operation[0])
    listed = [(tag, list(members)) for tag, members in sections]
    for tag, members in listed:
        if tag not in OPTIONAL:
            yield f"\n## {tag.capitalize()}\n"
            yield from map(_line, members)
    yield "\n## Optional\n"
    for tag, members in listed:
        if tag in OPTIONAL:
            yield from map(_line, members)


def _line(operation: tuple[str, str, str, Mapping[str, Any]]) -> str:
    _, path, method, described = operation
    scope = described.get("x-scope")
    needed = f" (`{scope}`)" if scope else ""
    link = f"[{method.upper()} {path}](/docs#{described['operationId']})"
    return f"- {link}: {described['summary']}{needed}"
