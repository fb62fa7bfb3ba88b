"""What the README tells a newcomer to type works, block by block, from the top to the bottom."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
from tests.conftest import BrokerAddress

from tidings.local.laptop import Laptop
from tidings.local.management import Management

README = Path(__file__).parents[2] / "README.md"
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ELSEWHERE = re.compile(r"^(make|docker|pip|source) ", re.MULTILINE)
"""Blocks that install, start what the test has started, or run the tests."""

# Whoever types waits as long as it takes; so does the test, for the notification last published.
PATIENT = """
set -euo pipefail
sleep() {
  for _ in $(seq 100); do
    if tidings show "$ID" --json 2>&1 | grep -qE '"state": "(sent|buried)"'; then return; fi
    command sleep 0.2
  done
  return 1
}
"""


@dataclass(frozen=True)
class Block:
    """A few lines to type."""

    language: str
    text: str

    def arguments(self, environment: Path) -> list[str]:
        """How they are run."""
        source = f'. "{environment}"\n'
        if self.language == "python":
            return ["bash", "-c", f'{source}exec python -W error -c "$0"', self.text]
        return ["bash", "-c", f"{source}{PATIENT}{self.text}"]


def blocks() -> list[Block]:
    found = (Block(*match.groups()) for match in BLOCK.finditer(README.read_text("utf-8")))
    return [one for one in found if not ELSEWHERE.search(one.text)]


@pytest.fixture
async def laptop(
    broker_url: str,
    broker_address: BrokerAddress,
    database_url: str,
    tmp_path: Path,
) -> AsyncIterator[Laptop]:
    """What `make run` starts, on the servers of the tests."""
    given = {
        "TIDINGS_AMQP_URL": broker_url,
        "TIDINGS_DATABASE_URL": database_url,
        "TIDINGS_MANAGEMENT_URL": broker_address.management_url,
    }
    async with Laptop(tmp_path, given) as laptop:
        await laptop.start_roles()
        yield laptop


def test_there_are_blocks_of_each_kind() -> None:
    assert len([one for one in blocks() if one.language == "python"]) == 2
    assert len([one for one in blocks() if "tidings publish" in one.text]) >= 4
    assert any("curl" in one.text for one in blocks())


@pytest.mark.timeout(300)
async def test_everything_in_the_readme_works_as_it_is_typed(
    laptop: Laptop, management: Management
) -> None:
    vhost = quote(management.vhost, safe="")
    for block in blocks():
        text = block.text.replace("/exchanges/%2F/", f"/exchanges/{vhost}/")
        await type_in(Block(block.language, text), laptop)
    assert json.loads(await laptop.tidings("dead", "list", "--json")) == []
    known = json.loads(await laptop.tidings("list", "--limit", "100", "--json"))
    assert len(known) > 12
    assert {one["state"] for one in known} <= {"sent", "scheduled", "queued", "sending"}


async def type_in(block: Block, laptop: Laptop) -> None:
    process = await asyncio.create_subprocess_exec(
        *block.arguments(laptop.environment_file),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, f"{block.text}\nsaid:\n{said.decode()}"
