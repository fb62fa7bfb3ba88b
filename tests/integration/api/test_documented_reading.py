"""The requests of docs/api.md that read, typed as they are written there."""

import asyncio
import os
import re
from pathlib import Path

import pytest
from tests.support.api_rig import ApiRig

pytestmark = pytest.mark.asyncio(loop_scope="module")

DOCUMENT = (Path(__file__).parents[3] / "docs/api.md").read_text("utf-8")
SECTIONS = ("Lists", "One, and why", "Exports", "Statistics", "The audit trail")
ADDRESS = "http://127.0.0.1:8000"


def requests() -> list[str]:
    """Every command of these sections."""
    found = []
    for title in SECTIONS:
        section = DOCUMENT.split(f"\n### {title}\n")[1].split("\n## ")[0].split("\n### ")[0]
        blocks = re.findall(r"```sh\n(curl .*?)```", section, re.DOTALL)
        assert blocks, title
        found += blocks
    return found


async def test_each_request_is_answered(api: ApiRig, tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{api.api.port}"
    environment = {**os.environ, "KEY": await api.key("read", "admin")}
    for command in requests():
        assert ADDRESS in command
        typed = (
            command.strip()
            .replace(ADDRESS, address)
            .replace("curl ", "curl -sS -w '\\n%{http_code}' ", 1)
        )
        process = await asyncio.create_subprocess_exec(
            *("bash", "-c", typed),
            env=environment,
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        status = output.decode().rstrip().rpartition("\n")[2]
        wanted = "404" if "/why" in command else "200"  # nothing has its id
        assert status == wanted, (command, output)
    assert (tmp_path / "notifications.csv").read_text("utf-8").startswith("id,tenant,")
