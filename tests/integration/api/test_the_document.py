"""The API describes itself completely: every route, reply and problem, with examples."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.api_rig import ApiRig

from tidings.api.routes import routes

pytestmark = pytest.mark.asyncio(loop_scope="module")
ROUTES = tuple(routes())


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


async def test_each_operation_says_which_key_it_needs(api: ApiRig) -> None:
    found = await document(api)
    for route in ROUTES:
        operation = found["paths"][route.path][route.method.lower()]
        assert operation["security"] == ([] if route.public else [{"key": []}])
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
