"""Commands and requests that pages show beside their buttons, pasted: each command is parsed, and each request is sent."""

import re
import shlex
from collections.abc import Iterator
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import typer
from tests.conftest import fresh_database
from tests.support.console_rig import ConsoleRig, Person
from tests.support.console_things import address, make_everything
from tests.support.stored_dead_letters import store_dead_letter

from tidings.cli.main import app
from tidings.console.pages import pages

pytestmark = pytest.mark.asyncio(loop_scope="module")

CODE = re.compile(r"<pre><code>((?:tidings|curl) .*?)</code></pre>", re.DOTALL)
WORD_FOR_WORD = re.compile(r"<(pre|textarea)\b.*?</\1>", re.DOTALL)
NEEDS_SCRIPT = re.compile(r"<[^>]*\bdata-(?:all|copy|help)\b[^>]*>")
LOOKED_AT = tuple(page for page in pages() if page.method == "GET")
FOR_PEOPLE = {"NAME", "ID", "URL", "REASON", "…"}
"""What stands for something that the reader has to put in."""
DONE = {200, 201, 202, 204}
LETTERS = "channel=email&reason=rejected&since=24h&user_id=it%27s&recipient=ada@example.com&state=open&test=true"
FILTERED = (
    f"/failures?{LETTERS}",
    "/failures?test=true",
    "/failures?state=replayed",
    f"/failures/{{group}}?{LETTERS}",
    "/notifications?state=failed&channel=email&channel=sms&user_id=it%27s&entity=order:7&since=24h&test=true",
    "/notifications?recipient=ada@example.com&subject=Your+order&error_class=rejected&priority=high",
    "/notifications?overdue=true",
    "/notifications/beginning?id=0198c2f4",
    "/outbox?status=failed&status=pending&user_id=it%27s&test=true",
    "/jobs?state=running&test=true",
    "/schedules?state=paused",
    "/audit?actor=jane&since=24h",
)


@pytest.fixture(scope="module")
def console_database_url(postgresql_url: str, migrated_template: str) -> Iterator[str]:
    """A database of these tests' own: requests are carried out."""
    with fresh_database(postgresql_url, template=migrated_template) as url:
        yield url


def check_as_it_is_sent(html: str, path: str) -> None:
    """A page's words before a script has run: commands are marked as code, and what needs the script is hidden."""
    assert "`" not in WORD_FOR_WORD.sub("", html), f"{path}: a command is not shown as code"
    scripted = NEEDS_SCRIPT.findall(html)
    assert [tag for tag in scripted if " hidden" not in tag] == [], path


async def shown_lines(person: Person, ids: Any) -> dict[str, str]:
    """Each line with the page that shows it."""
    found: dict[str, str] = {}
    paths = [*(address(page, ids) for page in LOOKED_AT), *FILTERED]
    for path in paths:
        shown = await person.get(path.replace("{group}", ids["/failures/"]))
        check_as_it_is_sent(shown.html, path)
        for code in CODE.findall(shown.html):
            for line in re.split(r"\n(?=tidings |curl )", unescape(code)):
                found.setdefault(line, path)
    return found


@pytest.mark.parametrize("tenant", ["shop", "*"])
async def test_every_command_and_request_is_taken_as_it_is_pasted(
    console: ConsoleRig, tenant: str
) -> None:
    ids = await make_everything(console, "shop")
    person = await console.person(tenant=tenant, name="jane")
    if tenant == "*":  # the other sees the job as a preview
        await person.get(f"/jobs/{ids['/jobs/']}")
        await person.send(f"/jobs/{ids['/jobs/']}/start")
    lines = await shown_lines(person, ids)
    key = await console.api.key(tenant=tenant)
    root = typer.main.get_command(app)
    problems, commands, requests = [], 0, 0
    for line, page in lines.items():
        words = shlex.split(line)
        if words[0] == "tidings":
            commands += 1
            if not is_to_be_filled_in(words):
                parses(root, words[1 : words.index(">") if ">" in words else None])
        else:
            requests += 1
            status, body = await sent(console, key, words)
            if status not in DONE and not (status == 409 or is_to_be_filled_in(words)):
                problems.append(f"{page}: {line}: {status} {body[:300]!r}")
    assert problems == [], "\n".join(problems)
    assert min(commands, requests) > 20


async def test_a_list_and_its_request_have_the_same_filters(console: ConsoleRig) -> None:
    person = await console.person(name="joe")
    await store_dead_letter(console.api, "ab12", "shop")
    for path in FILTERED:
        shown = await person.get(path.replace("{group}", "ab12"))
        lines = [unescape(line) for code in CODE.findall(shown.html) for line in code.splitlines()]
        wanted = parse_qs(urlsplit(path).query)
        queries = [
            parse_qs(urlsplit(word).query)
            for line in lines
            for word in shlex.split(line)
            if word.startswith("http") and "/export" not in word
        ]
        assert wanted in [as_typed(query) for query in queries] or "beginning" in path, path
        commands = [shlex.split(line) for line in lines if line.startswith("tidings ")]
        values = {
            "--overdue" if name == "overdue" else value
            for name, given in wanted.items()
            for value in given
            if name != "test"
        }
        assert any(values <= set(words) for words in commands) or not commands, path


def as_typed(query: dict[str, list[str]]) -> dict[str, list[str]]:
    """Without what the page itself adds: the group, and times that stand still."""
    known = {name: values for name, values in query.items() if name != "fingerprint"}
    return {**known, "since": ["24h"]} if "since" in known else known


def parses(command: Any, words: list[str]) -> None:
    """A command takes these words; nothing is carried out."""
    while hasattr(command, "commands"):
        command = command.commands[words[0]]
        words = words[1:]
    command.make_context("tidings", words)


def is_to_be_filled_in(words: list[str]) -> bool:
    return any(
        (word == name and name == "ID")
        or re.search(rf"/{name}([/?]|$)", word)
        or f'"{name}"' in word
        for word in words
        for name in FOR_PEOPLE
    )


async def sent(console: ConsoleRig, key: str, words: list[str]) -> tuple[int, bytes]:
    """What the API answers to a request that curl would send."""
    method, headers, body, url = "GET", {}, None, ""
    rest = iter(words[1:])
    for word in rest:
        match word:
            case "-X":
                method = next(rest)
            case "-H":
                name, _, value = next(rest).partition(": ")
                headers[name] = value.replace("$KEY", key)
            case "-d":
                body = next(rest)
            case "-o":
                next(rest)
            case _:
                url = word
    place = urlsplit(url)
    path = place.path + (f"?{place.query}" if place.query else "")
    async with console.api.session.request(
        method, path, data=body and body.encode(), headers=headers
    ) as reply:
        return reply.status, await reply.read()
