"""The guide of the inbox names only what there is: routes, events, variables, parts, fields, codes, and refusals word by word."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tidings.api.replies.inbox import MESSAGE
from tidings.api.routes import routes

ROOT: Final = Path(__file__).parents[3]
GUIDE: Final = (ROOT / "docs" / "inbox.md").read_text("utf-8")
PROTOCOL: Final = (ROOT / "docs" / "inbox-protocol.md").read_text("utf-8")
CLIENT: Final = ROOT / "clients" / "inbox"
TYPES: Final = (CLIENT / "index.d.ts").read_text("utf-8")
STYLES: Final = (CLIENT / "src" / "styles.js").read_text("utf-8")
README: Final = (CLIENT / "README.md").read_text("utf-8")


def blocks(language: str) -> Iterator[str]:
    return (match[1] for match in re.finditer(rf"^```{language}\n(.*?)^```$", GUIDE, re.M | re.S))


def test_routes_exist() -> None:
    there = {route.path for route in routes()} | {"/v1/inbox/ws"}  # no route of HTTP
    patterns = [re.compile(re.sub(r"\{\w+\}", "[^/]+", path)) for path in there]
    named = set(re.findall(r"(?<!inbox)/v1/[a-z0-9/{}_-]*[a-z0-9}]", GUIDE))
    assert named
    assert [path for path in named if not any(each.fullmatch(path) for each in patterns)] == []


def test_events_exist() -> None:
    there = set(re.findall(r'"(tidings-\w+)":', TYPES))
    named = set(re.findall(r"[`\"@(](tidings-[a-z]+)[`\"=)]", GUIDE)) - {"tidings-inbox"}
    assert named
    assert named - there == set()


def test_variables_and_parts_of_the_element_exist() -> None:
    variables = set(re.findall(r"--tidings-[a-z-]+", GUIDE))
    assert variables
    assert {name for name in variables if f"var({name}" not in STYLES} == set()
    parts = set(re.findall(r"::part\((\w+)\)", GUIDE)) - {""}
    assert {name for name in parts if f"`{name}`" not in README} == set()
    slots = set(re.findall(r'slot="(\w+)"', GUIDE))
    source = (CLIENT / "src" / "element.js").read_text("utf-8")
    assert {name for name in slots if f'name: "{name}"' not in source} == set()


def test_clients_of_other_platforms_speak_the_protocol() -> None:
    [dart], [swift] = blocks("dart"), blocks("swift")
    codes = set(re.findall(r"^\| (\d{4}) \|", PROTOCOL, re.M))
    for client in (dart, swift):
        assert set(re.findall(r"\b4\d{3}\b", client)) <= codes
        assert {"start", "reset", "changes"} <= set(re.findall(r"['\"](\w+)['\"]", client))
        assert "/v1/inbox/ws" in client
    read = set(re.findall(r"m\['(\w+)'\]|message\['(\w+)'\]", dart))
    assert {name for names in read for name in names if name} <= MESSAGE.keys()
    [struct] = re.findall(r"struct Message: .*?\{(.*?)\n\}", swift, re.S)
    fields = re.findall(r"let (\w+):", struct)
    snake = {re.sub(r"[A-Z]", lambda letter: f"_{letter[0].lower()}", name) for name in fields}
    assert {"position", "revision", "snoozed_until"} <= snake <= MESSAGE.keys()


def test_what_the_api_refuses_is_quoted_as_it_says_it() -> None:
    folder = ROOT / "service" / "tidings" / "api"
    source = "".join(
        (folder / f"{name}.py").read_text("utf-8") for name in ("tokens", "authentication")
    )
    quoted = re.findall(r"“(.+?)”", GUIDE)
    assert len(quoted) > 4
    assert [text for text in quoted if text not in source] == []


def test_the_location_of_nginx_has_every_route_of_inboxes() -> None:
    [nginx] = blocks("nginx")
    [location] = re.findall(r"^location (\S+) \{", nginx, re.M)
    there = {route.path for route in routes() if route.path.startswith("/v1/inbox")}
    assert "/v1/inbox" in there
    assert [path for path in there if not path.startswith(location)] == []


def test_reasons_that_are_published_occur() -> None:
    [union] = re.findall(r"^export type Reason =(.*?);", TYPES, re.M | re.S)
    source = "".join(path.read_text("utf-8") for path in (CLIENT / "src").glob("*.js"))
    assert [reason for reason in re.findall(r'"(\w+)"', union) if f'"{reason}"' not in source] == []
