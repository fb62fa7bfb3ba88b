"""A name says what a value is, and the same name is the same kind of value in each request and reply."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest
from tests.support.api_document import described

from tidings.api.notification_schemas import components

NUMBERS: Final = {
    *("epoch", "replay_epoch", "attempt", "step", "position", "index", "pid", "max_runs"),
    *("limit", "canary", "status", "revision", "up_to", "threshold"),
}
"""Integers that count nothing: ordinals, limits, and the status of HTTP."""
UNITS: Final = ("_count", "_seconds", "_ms", "_bytes", "_rate", "_per_second", "_per_notification")
TALLIES: Final = {
    *("count", "counts"),
    *("accepted", "duplicate", "invalid", "unavailable"),
    *("attempted", "retried", "finished", "succeeded", "failed"),
    *("unread", "unseen", "changed"),
    *("delivered_again", "failed_again", "retrying", "in_progress", "other"),
}
"""Counts of a table, whose columns are states or outcomes."""
RELATIONS: Final = {"id", "ids", "duplicate_of", "copy_of", "supersedes"}
WRITTEN: Final = {"since", "until", "scheduled_at", "starts_at", "ends_at"}
"""Times that a caller may write in several forms."""
TWICE: Final = {
    "id": "of a thing that Tidings stores, and of an action or an entity, which its producer names",
    "changed": "whether a provider was, and a number of messages",
    "entity": "of a message, as an object, and a filter",
    "counts": "of an inbox, as an object, and of several filters",
    "unread": "a filter, and a count",
    "unseen": "a filter, and a count",
    "category": "of one thing, and a filter with several values",
    "type": "of one thing, and a filter with several values",
    "severity": "of one thing, and a filter with several values",
    "data": "variables of a template, and the things of a page",
    "dead_letters": "a filter, and a list",
    "notifications": "a filter, and a list",
    "recipients": "of a schedule as they are written, and of a notification",
    "body": "of a notification, as an object",
    "status": "of HTTP in a problem, and of a submission",
}
"""Names with several types, and why."""

CONTRACT: Final = {name for name, _ in components()}
"""Models whose names AMQP has promised already."""

AS_IN_QUERIES: Final = {("InboxFilter", name) for name in ("category", "type", "severity")}
"""Filters in a body with the names that they have in a query, where each is repeated."""

Schema = dict[str, Any]


def schemas() -> Mapping[str, Schema]:
    found: Mapping[str, Schema] = described()["components"]["schemas"]
    return found


def kinds(schema: Schema) -> set[str]:
    """What a value may be, but for null; the format of a text that has one."""
    if "$ref" in schema:
        return kinds(schemas()[schema["$ref"].rpartition("/")[2]])
    if "anyOf" in schema:
        return {kind for part in schema["anyOf"] for kind in kinds(part)} - {"null"}
    if schema.get("type") == "array":
        return {f"{kind}[]" for kind in kinds(schema.get("items", {}))}
    return {str(schema.get("format") or schema.get("type", "string"))}


def properties() -> Iterator[tuple[str, str, set[str]]]:
    """Each property with its model and what it may be."""
    for model, schema in schemas().items():
        for name, inner in schema.get("properties", {}).items():
            if model not in CONTRACT:
                yield model, name, kinds(inner)


PROPERTIES: Final = list(properties())


def test_names_are_written_alike() -> None:
    for model, name, _ in PROPERTIES:
        assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name), (model, name)


def test_a_time_has_the_name_of_one_and_nothing_else_has() -> None:
    for model, name, found in PROPERTIES:
        named = bool(re.search(r"(^|_)(at|since|until)$", name))
        if "date-time[]" in found:
            assert name.endswith("_times"), (model, name)
        elif name not in WRITTEN or "date-time" in found:
            assert named == ("date-time" in found), (model, name)


def test_an_id_has_the_name_of_one() -> None:
    for model, name, found in PROPERTIES:
        if found & {"uuid", "uuid[]"}:
            assert name in RELATIONS or name.endswith(("_id", "_ids")), (model, name)


def test_a_number_says_what_it_counts_or_measures() -> None:
    for model, name, found in PROPERTIES:
        if found & {"number", "integer", "number[]", "integer[]"}:
            named = name.endswith(UNITS) or name in NUMBERS | TALLIES
            assert named, (model, name)


def test_a_list_has_a_name_in_the_plural() -> None:
    for model, name, found in PROPERTIES:
        if any(kind.endswith("[]") for kind in found) and (model, name) not in AS_IN_QUERIES:
            plural = name.endswith("s") or name in {"data", "history", "also", "sample", "canary"}
            assert plural or name in {"not_delivering", "unset"}, (model, name)


def test_one_name_has_one_type() -> None:
    found: dict[str, set[frozenset[str]]] = defaultdict(set)
    for _, name, kind in PROPERTIES:
        shape = {re.sub("date-time", "string", each) if name in WRITTEN else each for each in kind}
        found[name].add(frozenset(shape - {"null"}))
    several = {name for name, shapes in found.items() if len(shapes - {frozenset()}) > 1}
    assert several <= set(TWICE)


def test_each_value_of_a_closed_set_is_written_alike() -> None:
    for model, schema in schemas().items():
        for name, inner in [(model, schema), *schema.get("properties", {}).items()]:
            for value in inner.get("enum", ()):
                assert re.fullmatch(r"[a-z][a-z_]*", value) or model == "Problem", (model, name)


PARAMETERS: Final = {
    (path, parameter["name"]): parameter
    for path, operations in described()["paths"].items()
    for operation in operations.values()
    for parameter in operation.get("parameters", ())
    if parameter["in"] == "query"
}
OF_ONE_VALUE: Final = {"channel", "category", "user_id", "entity", "recipient"}
"""Filters of dead letters and of the outbox that take one value, where those of notifications take several."""

REVISIONS: Final = {("/v1/inbox", "since"), ("/v1/inbox/stream", "since")}
"""Not a time there: a list of changes begins with one."""


@pytest.mark.parametrize("name", sorted({name for _, name in PARAMETERS}))
def test_a_parameter_is_the_same_on_each_route(name: str) -> None:
    shapes = {
        repr(sorted(kinds(each["schema"])))
        for (path, other), each in PARAMETERS.items()
        if other == name and (path, name) not in REVISIONS
    }
    assert len(shapes) == 1 or name in OF_ONE_VALUE
