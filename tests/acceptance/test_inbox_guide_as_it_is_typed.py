"""What docs/inbox.md tells people to type works: in a shell, in Python, and in Node."""

import asyncio
import json
import os
import re
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tidings_local.laptop import Laptop

GUIDE = Path(__file__).parents[2] / "docs" / "inbox.md"
BLOCK = re.compile(r"^```(sh|python|javascript)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NODE = shutil.which("node")
IN_A_BROWSER = re.compile(r"\bdocument\b")


@dataclass(frozen=True)
class Example:
    """A few lines to type."""

    language: str
    text: str

    def arguments(self, environment: Path) -> list[str]:
        """How they are run."""
        source = f'. "{environment}"\n'
        if self.language == "javascript":
            return ["bash", "-c", f'{source}exec node --input-type=module -e "$0"', self.text]
        if self.language == "python":
            return ["bash", "-c", f'{source}exec python -W error -c "$0"', self.text]
        return ["bash", "-c", f"{source}set -euo pipefail\n{self.text}"]


def examples() -> list[Example]:
    every = (Example(*match.groups()) for match in BLOCK.finditer(GUIDE.read_text("utf-8")))
    return [
        example
        for example in every
        if not IN_A_BROWSER.search(example.text) and (example.language != "javascript" or NODE)
    ]


@pytest.fixture
async def laptop(broker_url: str, database_url: str, tmp_path: Path) -> AsyncIterator[Laptop]:
    """What `make run` starts, on the servers of the tests."""
    given = {"TIDINGS_AMQP_URL": broker_url, "TIDINGS_DATABASE_URL": database_url}
    async with Laptop(tmp_path, given) as laptop:
        await laptop.start_roles()
        yield laptop


async def type_in(example: Example, laptop: Laptop) -> str:
    text = example.text.replace("source .local/env\n", "")
    process = await asyncio.create_subprocess_exec(
        *Example(example.language, text).arguments(laptop.environment_file),
        env={**os.environ, "COLUMNS": "80"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, f"{example.text}\nsaid:\n{output.decode()}"
    return output.decode()


async def read_inbox(laptop: Laptop, token: str) -> tuple[int, Any]:
    url = f"http://{laptop.environment['TIDINGS_API_LISTEN']}/v1/inbox"
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(headers=headers) as http, http.get(url) as reply:
        return reply.status, await reply.json()


def of(printed: dict[str, str], mark: str) -> str:
    """The last line that the example with these words printed."""
    [output] = [output for text, output in printed.items() if mark in text]
    return output.strip().splitlines()[-1]


@pytest.mark.timeout(120)
async def test_everything_in_the_guide_works_as_it_is_typed(laptop: Laptop) -> None:
    typed = examples()
    assert [example.language for example in typed].count("python") == 2
    printed = {example.text: await type_in(example, laptop) for example in typed}
    assert {"unread", "unseen", "by_type"} <= json.loads(of(printed, "unread-count")).keys()
    [streamed] = [output for text, output in printed.items() if "/v1/inbox/stream" in text]
    assert "event: reset" in streamed
    tokens = [output.strip() for text, output in printed.items() if '"HS256"' in text]
    assert len(tokens) == (2 if NODE else 1)
    assert "valid_since" in json.loads(of(printed, "revoke-tokens"))
    for token in tokens:
        assert (await read_inbox(laptop, token))[0] == 401  # revoked by the last of the examples
    environment = laptop.environment_file
    later = Example("sh", "sleep 1; tidings inbox token ada 2>/dev/null").arguments(environment)
    process = await asyncio.create_subprocess_exec(*later, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    status, page = await read_inbox(laptop, output.decode().strip())
    assert status == 200
    assert {message["title"] for message in page["data"]} == {
        "Your parcel arrives today",
        "Linus invites you to Compilers",
        "New login from Lisbon",
    }
