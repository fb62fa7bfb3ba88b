"""Lists have one envelope, and what is the same has the same name in each request and reply."""

from collections.abc import Iterator
from typing import Any, Final, cast

import pytest
from jsonschema import Draft202012Validator
from tests.support.api_document import described

from tidings.api.route import Route
from tidings.api.routes import routes

ROUTES: Final = tuple(routes())
FORMATS: Final = Draft202012Validator.FORMAT_CHECKER
REPORTS: Final = {
    *("/v1/health", "/v1/overview", "/v1/scheduler", "/v1/stats", "/v1/inbox/unread-count"),
}
"""Routes that answer with one report, whatever lists are in it."""


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in schema:
        return schema
    name = schema["$ref"].rpartition("/")[2]
    return cast(dict[str, Any], described()["components"]["schemas"][name])


def answers(route: Route) -> Iterator[dict[str, Any]]:
    """The schema of each successful reply of a route, in JSON."""
    operation = described()["paths"][route.path][route.method.lower()]
    for status, reply in operation["responses"].items():
        content = reply.get("content", {}).get("application/json")
        if status.startswith("2") and content:
            yield resolved(content["schema"])


def parameters(route: Route) -> dict[str, Any]:
    operation = described()["paths"][route.path][route.method.lower()]
    return {each["name"]: each for each in operation.get("parameters", ()) if each["in"] == "query"}


def listing() -> list[Route]:
    """Routes that answer with things of one kind."""
    return [
        route
        for route in ROUTES
        if route.method == "GET"
        and route.path.startswith("/v1/")
        and not route.path.endswith(("}", "/why", "/export", "/stream", "/preview", "/items.csv"))
        and route.path not in REPORTS
    ]


@pytest.mark.parametrize("route", listing(), ids=lambda route: route.path)
def test_every_list_has_the_same_envelope(route: Route) -> None:
    (schema,) = answers(route)
    assert schema["properties"]["data"]["type"] == "array"
    assert schema["properties"]["next_cursor"]["anyOf"] == [{"type": "string"}, {"type": "null"}]
    assert {"data", "next_cursor"} <= set(schema["required"])
    others = set(schema["properties"]) - {"data", "next_cursor"}
    assert not any(schema["properties"][name].get("type") == "array" for name in others)


IN_ONE_PAGE = {
    "/v1/alert-rules",
    "/v1/alert-rules/{rule}/history",
    "/v1/channels",
    "/v1/sessions",
}


@pytest.mark.parametrize("route", listing(), ids=lambda route: route.path)
def test_every_list_that_goes_on_has_the_same_parameters(route: Route) -> None:
    given = parameters(route)
    if "cursor" not in given:
        assert route.path in IN_ONE_PAGE
        return
    assert given["cursor"]["schema"]["anyOf"][0]["maxLength"] == 200
    usual = parameters(ROUTES[0])["limit"]["schema"]
    if route.path.startswith("/v1/inbox"):  # a panel of a browser shows fewer
        usual = usual | {"default": 20, "examples": [20]}
    assert given["limit"]["schema"] | {"maximum": 100} == usual


def test_nothing_else_looks_like_a_list() -> None:
    lists = listing()
    for route in ROUTES:
        for schema in answers(route):
            assert schema.get("type") != "array", route.path
            data = schema.get("properties", {}).get("data", {})
            assert route in lists or data.get("type") != "array", route.path
        assert route in lists or "cursor" not in parameters(route), route.path


def test_every_example_is_what_its_schema_says() -> None:
    for path, operations in described()["paths"].items():
        for method, operation in operations.items():
            bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
            for content in (it for body in bodies for it in body.get("content", {}).values()):
                if "example" in content:
                    schema = {**content["schema"], "components": described()["components"]}
                    validator = Draft202012Validator(schema, format_checker=FORMATS)
                    faults = [fault.message for fault in validator.iter_errors(content["example"])]
                    assert not faults, (method, path, faults)
