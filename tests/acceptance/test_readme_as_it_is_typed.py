"""What the README tells a newcomer to type works, block by block, from the top to the bottom."""

import asyncio
import json
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from urllib.parse import quote

import aio_pika
import pytest
from tests.conftest import BrokerAddress

from tidings_events.moments import in_milliseconds
from tidings_local.laptop import Laptop
from tidings_local.management import Management

README = Path(__file__).parents[2] / "README.md"
CONTRACT = README.parent / "docs" / "contract.md"
AMQPLIB = "amqplib@2"
BLOCK = re.compile(
    r"^```(sh|python|javascript)\n(.*?)^```$(?:[^`]*^```\n(.*?)^```$)?", re.MULTILINE | re.DOTALL
)
"""Lines to type, and, where it comes next, a sample of what they print."""
WIDTH = 80
"""Columns of the terminal that the samples are printed in."""
VARIES = (
    (r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "ID"),
    (r"\bcli \S+@\S+", "cli ME"),
    (r"\+scheduler\+worker \S+", "+scheduler+worker HERE"),
    (r"\d+s ago\b|\bnow\b", "AGO"),
    (r"[+ ]\d+(\.\d)?m?s\b", " TIME"),
    (r"\d{4}-\d\d-\d\d (?=\d\d:)|\d\d:\d\d:\d\d\.\d{3}", "THEN"),
    (r"[+-]\d\d:\d\d", "ZONE"),
    (r"[·▁▂▃▄▅▆▇█]{5,}", "TREND"),
    (r" +", " "),
)
"""What is never twice the same."""
ELSEWHERE = re.compile(r"^(make|docker|pip|source) ", re.MULTILINE)
"""Blocks that install, start what the test has started, or run the tests."""

# Whoever types waits as long as it takes; so does the test, for the notification last published.
PATIENT = """
set -euo pipefail
sleep() {
  for _ in $(seq 100); do
    if tidings show "$ID" --json 2>&1 | grep -qE '"state": "(sent|open)"'; then return; fi
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
    sample: str | None = None

    @property
    def last(self) -> "Block":
        """Its last command alone."""
        return Block(self.language, self.text.splitlines()[-1], self.sample)

    def arguments(self, environment: Path) -> list[str]:
        """How they are run."""
        source = f'. "{environment}"\n'
        if self.language == "javascript":
            return ["bash", "-c", f'{source}exec node --input-type=module -e "$0"', self.text]
        if self.language == "python":
            return ["bash", "-c", f'{source}exec python -W error -c "$0"', self.text]
        return ["bash", "-c", f"{source}{PATIENT}{self.text}"]


def blocks() -> list[Block]:
    found = (Block(*match.groups()) for match in BLOCK.finditer(README.read_text("utf-8")))
    return [block for block in found if not ELSEWHERE.search(block.text)]


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


@pytest.fixture(scope="session")
def node_modules() -> Path | None:
    """A folder in which Node finds amqplib; None where there is no Node, or no registry to get it from."""
    folder = README.parent / ".local" / "tests-npm"
    if (folder / "node_modules" / "amqplib").is_dir():
        return folder
    if not (shutil.which("node") and shutil.which("npm")):
        return None
    folder.mkdir(parents=True, exist_ok=True)
    install = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", ".", AMQPLIB]
    done = subprocess.run(install, cwd=folder, check=False, timeout=120, capture_output=True)
    return None if done.returncode else folder


@pytest.fixture
async def published(laptop: Laptop, broker_url: str) -> AsyncIterator[aio_pika.abc.AbstractQueue]:
    """A copy of everything that is published to Tidings."""
    connection = await aio_pika.connect(broker_url)
    async with connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind("tidings.notifications", "#")
        yield queue


def test_there_are_blocks_of_each_kind() -> None:
    assert len([block for block in blocks() if block.language == "python"]) == 2
    assert len([block for block in blocks() if "tidings publish" in block.text]) >= 4
    assert len([block for block in blocks() if block.language == "javascript"]) == 1
    assert any("curl" in block.text for block in blocks())
    sampled = [block.last.text for block in blocks() if block.sample]
    assert sampled == ["tidings show $ID", "tidings dead groups"]


@pytest.mark.parametrize("document", [README, CONTRACT], ids=lambda path: path.name)
def test_no_line_of_a_sample_is_wider_than_a_terminal(document: Path) -> None:
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", document.read_text("utf-8"), re.M | re.S)
    wide = [
        line
        for language, text in fenced
        for line in text.splitlines()
        if len(line) > (100 if language else WIDTH)
    ]
    assert wide == []


@pytest.mark.timeout(300)
async def test_everything_in_the_readme_works_as_it_is_typed(
    laptop: Laptop,
    management: Management,
    node_modules: Path | None,
    published: aio_pika.abc.AbstractQueue,
) -> None:
    vhost = quote(management.vhost, safe="")
    began = datetime.now(UTC)
    typed = [block for block in blocks() if block.language != "javascript" or node_modules]
    for block in typed:
        text = block.text.replace("/exchanges/%2F/", f"/exchanges/{vhost}/")
        output = await type_in(Block(block.language, text), laptop, node_modules)
        if block.sample:
            await shown(block, output, laptop)
    examples = await from_our_own_code(published)
    assert len(examples) == len([block for block in typed if "Welcome" in block.text])
    for message in examples:
        published_at = in_milliseconds(message.headers["timestamp_in_ms"])
        assert published_at is not None
        assert began - timedelta(milliseconds=1) <= published_at <= datetime.now(UTC)
    assert [message.app_id for message in examples].count("shop") == len(examples) - 1
    assert json.loads(await laptop.tidings("dead", "list", "--json"))["data"] == []
    known = json.loads(await laptop.tidings("list", "--limit", "100", "--json"))["data"]
    assert len(known) > 12
    assert {row["state"] for row in known} <= {"sent", "scheduled", "queued", "sending"}


async def from_our_own_code(
    published: aio_pika.abc.AbstractQueue,
) -> list[aio_pika.abc.AbstractIncomingMessage]:
    """What the examples in several languages published."""
    found = []
    while (message := await published.get(no_ack=True, fail=False)) is not None:
        if json.loads(message.body).get("subject") == "Welcome":
            found.append(message)
    return found


async def shown(block: Block, output: str, laptop: Laptop) -> None:
    """Wait until it says what the sample says; it was typed faster than by a person."""
    assert block.sample is not None
    expected = what_stays(block.sample)
    until = monotonic() + 20
    while what_stays(output)[-len(expected) :] != expected:
        may_come = "$ID" not in block.last.text and monotonic() < until
        assert may_come, f"{block.sample}\nis not what was said:\n{output}"
        output = await type_in(block.last, laptop, None)


def what_stays(output: str) -> list[str]:
    """Its words without times, ids, and whose machine it was; where a line ends depends on how long its times are."""
    for pattern, name in VARIES:
        output = re.sub(pattern, name, output, flags=re.MULTILINE)
    return output.split()


async def type_in(block: Block, laptop: Laptop, node_modules: Path | None) -> str:
    process = await asyncio.create_subprocess_exec(
        *block.arguments(laptop.environment_file),
        cwd=node_modules if block.language == "javascript" else None,
        env={**os.environ, "COLUMNS": str(WIDTH)},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, f"{block.text}\nsaid:\n{output.decode()}"
    return output.decode()
