"""Clients that others' generators make of the OpenAPI document: they are typed, and do what they are told."""

import asyncio
import json
import os
import shutil
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import pytest
from tests.contract.http.conftest import DEAD, WAITING, unavailable
from tests.support import npm, python_packages
from tests.support.api_rig import ApiRig
from tests.support.inboxes import delivered
from tests.support.user_tokens import token_of

from tidings.ledger.inbox.messages import InboxUser
from tidings_local.errors import LocalStackError

HERE = Path(__file__).parent
LOCAL = Path(__file__).parents[3] / ".local"


async def run(*command: str | Path, cwd: Path, **variables: str) -> str:
    """Run a program to its end; what it printed."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, env={**os.environ, **variables}, stdout=PIPE, stderr=PIPE
    )
    out, err = await process.communicate()
    assert process.returncode == 0, (out + err).decode()
    return out.decode()


async def document(api: ApiRig, folder: Path) -> Path:
    path = folder / "openapi.json"
    path.write_bytes((await api.ask("GET", "/openapi.json")).body)
    return path


async def address_and_key(api: ApiRig) -> dict[str, str]:
    user = InboxUser("default", "jane")
    titles = ({"title": "one"}, {"title": "two"})
    await delivered(api.backend.ledger.database, user, *titles)
    return {
        "API_URL": f"http://127.0.0.1:{api.api.port}",
        "API_KEY": await api.key(),
        "USER_TOKEN": token_of(user.user_id),
    }


async def stored(api: ApiRig, subject: str) -> Any:
    query = "SELECT id::text FROM notifications WHERE subject = $1 AND NOT test"
    [row] = await api.fetch(query, subject)
    return row["id"]


@pytest.mark.timeout(180)
async def test_a_client_in_typescript_is_typed_strictly_and_works(
    api: ApiRig, tmp_path: Path
) -> None:
    try:
        npm.install(HERE / "typescript" / "package.json", LOCAL / "typescript-client")
    except LocalStackError as error:
        unavailable(error)
    for name in ("package.json", "tsconfig.json", "client.ts"):
        shutil.copy(HERE / "typescript" / name, tmp_path)
    modules = LOCAL / "typescript-client" / "node_modules"
    (tmp_path / "node_modules").symlink_to(modules)
    made = await document(api, tmp_path)
    types = ("--default-non-nullable=false", "--output", "api.d.ts")
    await run(modules / ".bin" / "openapi-typescript", made, *types, cwd=tmp_path)
    await run(modules / ".bin" / "tsc", "--project", ".", cwd=tmp_path)

    printed = await run("node", "built/client.js", cwd=tmp_path, **await address_and_key(api))

    did = json.loads(printed)
    assert did["submitted"] == [await stored(api, each) for each in ("one", "two", "three")]
    assert set(did["submitted"]) < set(did["listed"])
    assert len(did["listed"]) == len(set(did["listed"])) == 3 + WAITING + DEAD
    assert did["faults"] == ["/recipient"]
    assert did["inbox"] == {"titles": ["two", "one"], "unread": 0, "changed": 2}
    assert did["job"] == {"state": "running", "items": 3 + WAITING}


@pytest.mark.timeout(180)
async def test_a_client_in_python_submits_a_notification_and_reads_it(
    api: ApiRig, tmp_path: Path
) -> None:
    try:
        programs = python_packages.install(
            HERE / "python" / "requirements.txt", LOCAL / "python-client"
        )
    except LocalStackError as error:
        unavailable(error)
    made = await document(api, tmp_path)
    await run(
        *(programs / "openapi-python-client", "generate", "--fail-on-warning", "--meta", "none"),
        *("--path", made, "--config", HERE / "python" / "config.yaml"),
        *("--output-path", tmp_path / "generated"),
        cwd=tmp_path,
    )

    printed = await run(
        *(programs / "python", HERE / "python" / "client.py"),
        cwd=tmp_path, PYTHONPATH=str(tmp_path), **await address_and_key(api),
        TEST_KEY=await api.key("send", test=True, tenant="shop"),
    )  # fmt: skip

    did = json.loads(printed)
    assert did["submitted"] == did["shown"] == await stored(api, "Hi, Jane")
    assert (did["state"], did["faults"]) == ("queued", ["/subject"])
    assert (did["title"], did["archived"]) == ("two", 1)
