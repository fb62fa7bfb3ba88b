"""Every request of docs/api.md, typed as it is written there, one after the other, against one API.

What a reader has from an earlier answer (an id, an ETag) takes the place of the one that is written.
"""

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from tests.support.api_document import check_answer
from tests.support.api_rig import ApiRig, serving
from tests.support.inboxes import delivered
from tests.support.user_tokens import token_of

from tidings.ledger.inbox.messages import InboxUser
from tidings.settings import Settings

pytestmark = pytest.mark.asyncio(loop_scope="module")

DOCUMENT = (Path(__file__).parents[3] / "docs/api.md").read_text("utf-8")
ADDRESS = "http://127.0.0.1:8000"
NOTIFICATION = "0198c2f4-5a10-7c3e-9d55-3f6f1a2b4c5d"
DEAD_LETTER = "4abec5cb-6200-54aa-b16f-31af10cd322a"
MESSAGE = "0198c2f4-6c41-7d2e-8b10-5e2f9a7c4d31"
JOB = "0198c2f4-7b31-7f02-8a51-2b6f0c1d9e33"
CHRISTMAS = "2026-12-24"
"""A day to come."""
ETAG = "9f86d081884c7d659a2feaa0c55ad015"
BODY = {"channel": "email", "recipient": "grace@example.com", "subject": "Hello", "body": "Hi"}
INSERT = """
INSERT INTO dead_letters (id, notification_id, reason, kind, code, message, fingerprint, channel, priority, tenant,
                          category, recipient, attempts, first_failed_at, last_failed_at, exchange, routing_key, body)
VALUES ($1, $2, 'rejected', 'rejected', '550', 'no such mailbox', '6b1f03', 'email', 'normal', 'shop',
        'receipt', 'ada@example.com', 1, now(), now(), 'tidings.notifications', 'email.normal', $3)
"""


def commands() -> list[str]:
    """Each curl of the document, in order."""
    blocks = re.findall(r"```sh\n(.*?)```", DOCUMENT, re.DOTALL)
    return [
        f"curl {command.strip()}"
        for block in blocks
        for command in re.split(r"^curl ", block, flags=re.MULTILINE)[1:]
    ]


class Reader:
    """Types the requests, and keeps in mind what was answered."""

    def __init__(self, api: ApiRig, folder: Path, key: str) -> None:
        self.api = api
        self.folder = folder
        self.environment = {**os.environ, "KEY": key, "TOKEN": token_of("u-1")}
        self.known: dict[str, str] = {
            ADDRESS: f"http://127.0.0.1:{api.api.port}",
            CHRISTMAS: f"{datetime.now(UTC) + timedelta(days=25):%Y-%m-%d}",
        }

    async def type(self, command: str) -> tuple[int, str]:
        """The status and the body of the answer, which is held to the document."""
        assert ADDRESS in command
        for written, actual in self.known.items():
            command = command.replace(written, actual)
        options = (
            "-sS -o /dev/stdout -D headers -w '\\n%{method} %{url} %{http_code} %{content_type}'"
        )
        command = command.replace("-o notifications.csv", "").replace(
            "curl ", f"curl {options} ", 1
        )
        process = await asyncio.create_subprocess_exec(
            *("bash", "-c", command),
            env=self.environment,
            cwd=self.folder,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, fault = await process.communicate()
        body, _, last = output.decode().rpartition("\n")
        assert last, (command, fault)
        method, url, status, media_type = last.split(maxsplit=3)
        path = url.removeprefix(self.known[ADDRESS])
        check_answer(method, path, int(status), media_type, body.encode())
        return int(status), body

    def header(self, name: str) -> str:
        """Of the last answer."""
        found = re.search(rf"^{name}: (.*)$", (self.folder / "headers").read_text(), re.M | re.I)
        assert found
        return found[1]


@pytest_asyncio.fixture(loop_scope="module")
async def api(environment: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[ApiRig]:
    """An API with a template, and with a dead letter of each id that is written."""
    for locale in ("default", "de"):
        template = tmp_path / "templates" / "otp" / locale
        template.mkdir(parents=True)
        (template / "sms.j2").write_text("{{ code }} ist Ihr Code.")
    environment.setenv("TIDINGS_TEMPLATES_ROOT", str(tmp_path / "templates"))
    async with serving(Settings().check()) as rig:
        await made(rig, UUID(DEAD_LETTER))
        message = {"id": UUID(MESSAGE), "title": "Shipped", "type": "order_shipped"}
        user = InboxUser("default", "u-1")
        await delivered(rig.backend.ledger.database, user, *[{}] * 40, message)
        yield rig


async def made(api: ApiRig, id: UUID) -> None:
    """An open dead letter of the group that is written."""
    about = uuid4()
    body = json.dumps({**BODY, "id": str(about), "tenant": "shop"}).encode()
    await api.execute(INSERT, id, about, body)


async def scheduled(reader: Reader) -> str:
    """A notification that can still be rescheduled and cancelled."""
    sent = {**BODY, "scheduled_at": f"{reader.known[CHRISTMAS]}T10:00:00Z"}
    key = reader.environment["KEY"]
    answer = await reader.api.ask("POST", "/v1/notifications", key, json=sent)
    return str(answer.data["id"])


async def test_each_request_is_answered_as_it_is_documented(api: ApiRig, tmp_path: Path) -> None:
    reader = Reader(api, tmp_path, await api.key())
    reader.known[NOTIFICATION] = await scheduled(reader)
    typed = commands()
    assert len(typed) > 30
    for command in typed:
        if ETAG in command:
            await reader.type(
                f'curl -H "Authorization: Bearer $KEY" {ADDRESS}/v1/dead-letters/{DEAD_LETTER}'
            )
            reader.known[ETAG] = reader.header("etag").strip('"')
        status, body = await reader.type(command)
        assert 200 <= status < 300, f"{command}\n{status} {body}"
        if "-X PATCH" in command and "dead-letters" in command:
            reader.known[DEAD_LETTER] = json.loads(body)["id"]
        elif command.endswith(f"{ADDRESS}/v1/jobs"):
            reader.known[JOB] = json.loads(body)["id"]
        elif "/discard" in command:
            reader.known[DEAD_LETTER] = await another(api)
    await api.ask("POST", "/v1/scheduler/resume", reader.environment["KEY"])


async def another(api: ApiRig) -> str:
    """An open dead letter, for what can't be done with one that is closed."""
    await made(api, id_ := uuid4())
    return str(id_)
