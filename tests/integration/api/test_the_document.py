"""The API describes itself completely: every route, reply and problem, with examples."""

import re
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from tests.support.api_rig import ApiRig

from tidings.api.routes import routes

pytestmark = pytest.mark.asyncio(loop_scope="module")
ROUTES = tuple(routes())
LISTS = {
    *("/v1/audit", "/v1/dead-letters", "/v1/dead-letters/groups", "/v1/jobs", "/v1/notifications"),
    *("/v1/notifications/export", "/v1/outbox", "/v1/schedules", "/v1/stats"),
}
"""What has filters or pages."""


async def document(api: ApiRig) -> dict[str, Any]:
    found: dict[str, Any] = (await api.ask("GET", "/openapi.json")).data
    return found


def within(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in a document."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value:
        if isinstance(inner, dict | list):
            yield from within(inner)


async def test_every_route_is_in_it_and_nothing_else(api: ApiRig) -> None:
    found = await document(api)
    assert found["openapi"].startswith("3.1")
    described = {(m.upper(), path) for path, of in found["paths"].items() for m in of}
    assert described == {(route.method, route.path) for route in ROUTES}


async def test_each_operation_has_a_name_of_its_own_for_clients(api: ApiRig) -> None:
    found = await document(api)
    names = [
        operation["operationId"] for of in found["paths"].values() for operation in of.values()
    ]
    assert len(names) == len(set(names))
    assert all(name.isidentifier() for name in names)


async def test_every_reference_leads_somewhere(api: ApiRig) -> None:
    found = await document(api)
    references = {part["$ref"] for part in within(found) if isinstance(part.get("$ref"), str)}
    assert references
    for reference in references:
        place: Any = found
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]


async def test_every_reply_and_problem_is_described_with_an_example(api: ApiRig) -> None:
    found = await document(api)
    for route in ROUTES:
        replies = found["paths"][route.path][route.method.lower()]["responses"]
        expected = {"500", "503"} if route.public else {"401", "403", "422", "429", "500", "503"}
        assert expected <= set(replies), route.path
        for status, reply in replies.items():
            assert reply["description"]
            for media_type, content in reply.get("content", {}).items():
                assert "example" in content, (route.path, status, media_type)


async def test_the_examples_of_a_lists_parameters_can_be_sent_together(api: ApiRig) -> None:
    found, key = await document(api), await api.key()
    lists = [route for route in ROUTES if route.method == "GET" and route.path in LISTS]
    assert len(lists) == len(LISTS)
    for route in lists:
        for turn in (0, -1):
            query = [
                (parameter["name"], str(value).lower() if isinstance(value, bool) else value)
                for parameter in found["paths"][route.path]["get"]["parameters"]
                if parameter["in"] == "query"
                for value in example_of(parameter, turn)
            ]
            answer = await api.ask("GET", route.path, key, params=query)
            assert answer.status == 200, (route.path, query, answer.data)


def example_of(parameter: dict[str, Any], turn: int) -> list[Any]:
    """The values of the first example, or of the last; none if there is none."""
    examples = [
        example for part in within(parameter["schema"]) for example in part.get("examples", [])
    ]
    if not examples:
        return []
    chosen = examples[turn]
    return chosen if isinstance(chosen, list) else [chosen]


async def test_a_body_is_required_unless_an_empty_one_is_enough(api: ApiRig) -> None:
    found, key = await document(api), await api.key()
    edit = "/v1/dead-letters/{id}"
    assert found["paths"][edit]["patch"]["requestBody"]["required"]
    assert found["components"]["schemas"]["EditBody"]["minProperties"] == 1
    answer = await api.ask("PATCH", edit.replace("{id}", str(uuid4())), key, json={})
    assert answer.status == 422
    assert not found["paths"]["/v1/scheduler/pause"]["post"]["requestBody"]["required"]
    assert (await api.ask("POST", "/v1/scheduler/pause", key)).status == 200
    assert (await api.ask("POST", "/v1/scheduler/resume", key)).status == 200


async def test_each_operation_says_which_key_it_needs(api: ApiRig) -> None:
    found = await document(api)
    for route in ROUTES:
        operation = found["paths"][route.path][route.method.lower()]
        needed = "token" if route.end_users else "key"
        assert operation["security"] == ([] if route.public else [{needed: []}])
        assert operation.get("x-scope") == (route.scope and route.scope.value)


async def test_what_recognises_a_repeat_is_described_where_it_is_read(api: ApiRig) -> None:
    found = await document(api)
    for path in ("notifications", "notifications/batch", "schedules/{id}/run"):
        parameters = found["paths"][f"/v1/{path}"]["post"]["parameters"]
        assert ("Idempotency-Key", "header") in {(each["name"], each["in"]) for each in parameters}


async def test_the_page_for_people_loads_nothing_and_runs_nothing(api: ApiRig) -> None:
    answer = await api.ask("GET", "/docs")
    page = answer.body.decode()
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert not re.search(r"<script|<link|<img|<iframe|@import|url\(|\son\w+=", page)
    assert all(route.path in page for route in ROUTES)
    assert not re.search(r'(?:href|src)="(?![/#])', page)


async def test_an_assistant_finds_every_route_and_where_it_is_explained(api: ApiRig) -> None:
    answer = await api.ask("GET", "/llms.txt")
    text, page = answer.body.decode(), (await api.ask("GET", "/docs")).body.decode()
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    name, _, summary, *rest = text.splitlines()
    assert (name[:2], summary[:2]) == ("# ", "> ")
    links = re.findall(r"^- \[(.+?)\]\((/[\w./-]*)(?:#(\w+))?\): .+$", "\n".join(rest), re.M)
    routes_ = {f"{route.method} {route.path}" for route in ROUTES}
    assert {title for title, _, anchor in links if anchor} == routes_
    assert {path for _, path, _ in links} == {"/openapi.json", "/docs"}
    assert all(f'id="{anchor}"' in page for _, _, anchor in links if anchor)
    for heading in re.findall(r"^#+ .*$", text, re.M)[1:]:
        assert heading.startswith("## ")
