"""The section of docs/api.md about test keys: its requests as they are typed there, and its table of test recipients."""

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import UUID

import aio_pika
import pytest
from tests.support.api_rig import ApiRig, serving
from tests.support.dead_letter_rig import DeadLetterRig
from tests.support.forbidden_providers import FALLBACK, forbidden_providers
from tests.support.worker_rig import eventually

from tidings.delivery.sink import Behaviour
from tidings.settings import Settings
from tidings_events import CHANNELS

DOCUMENT = (Path(__file__).parents[3] / "docs/api.md").read_text("utf-8")
SECTION = DOCUMENT.split("\n## Test keys\n")[1].split("\n## ")[0]
RECIPIENTS = re.findall(r"^\| `(.+?)@tidings\.test` \| `(\+\d+)` \|", SECTION, re.MULTILINE)
CONTENT = {
    "email": {"subject": "Hello", "body": "Hi."},
    "sms": {"body": "Hi."},
    "whatsapp": {"body": "Hi."},
    "webhook": {"event_type": "order.shipped", "payload": {}},
    "in_app": {"title": "Hello"},
}
ENDS = {
    **dict.fromkeys(("sent", "fails-once", "fails-twice", "throttled"), "sent"),
    **dict.fromkeys(("rejected", "rejected-once", "fails-always"), "failed"),
}


@pytest.fixture
async def rigs(
    broker_url: str, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[ApiRig, DeadLetterRig]]:
    """All roles, with providers that no test may reach."""
    variables = {
        "TIDINGS_AMQP_URL": broker_url,
        "TIDINGS_DATABASE_URL": database_url,
        "TIDINGS_API_LISTEN": "127.0.0.1:0",
        "TIDINGS_CATEGORIES": "{}",
        **FALLBACK,
        **{f"TIDINGS_{channel.upper()}_RETRY": "1s 1s" for channel in CHANNELS},
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    settings = Settings().check()
    async with AsyncExitStack() as stack:
        connection = await stack.enter_async_context(await aio_pika.connect(broker_url))
        made = DeadLetterRig(settings, tmp_path, await connection.channel())
        rig = await stack.enter_async_context(made)
        for part in (
            forbidden_providers(rig),
            rig.archiving(),
            rig.hosting(),
            rig.scheduling(),
        ):
            await stack.enter_async_context(part)
        yield await stack.enter_async_context(serving(settings)), rig


async def typed(command: str, api: ApiRig, key: str) -> list[object]:
    """The answers to a block of requests."""
    process = await asyncio.create_subprocess_exec(
        *("bash", "-ec", command.replace("127.0.0.1:8000", f"127.0.0.1:{api.api.port}")),
        env={**os.environ, "KEY": key},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    decoder, text, answers = json.JSONDecoder(), output.decode(), []
    while text:
        answer, end = decoder.raw_decode(text)
        answers.append(answer)
        text = text[end:].lstrip()
    return answers


def addresses(channel: str) -> dict[str, str]:
    """The test recipients of a channel by name, as the table has them."""
    match channel:
        case "email" | "in_app":
            return {name: f"{name}@tidings.test" for name, _ in RECIPIENTS}
        case "webhook":
            return {name: f"https://tidings.test/{name}" for name, _ in RECIPIENTS}
        case _:
            return dict(RECIPIENTS)


def test_the_table_has_every_test_recipient() -> None:
    assert [name for name, _ in RECIPIENTS] == [*Behaviour]


async def test_what_the_document_says_of_test_keys_is_so(
    rigs: tuple[ApiRig, DeadLetterRig],
) -> None:
    api, rig = rigs
    key = await api.key("send", "read", "operate", test=True)
    await the_requests_send_a_test_to_nobody(api, rig, key)
    await each_recipient_fares_as_the_table_says(api, rig, key)


async def the_requests_send_a_test_to_nobody(api: ApiRig, rig: DeadLetterRig, key: str) -> None:
    [block] = re.findall(r"```sh\n(curl .*?)```", SECTION, re.DOTALL)
    accepted, listed = await typed(block, api, key)
    assert accepted["status"] == "accepted"  # type: ignore[index]  # its JSON
    assert [each["id"] for each in listed["data"]] == [accepted["id"]]  # type: ignore[index]
    id_ = UUID(accepted["id"])  # type: ignore[index]
    await rig.reaches(id_, "sent")
    shown = (await api.ask("GET", f"/v1/notifications/{id_}", key)).data
    assert [(each["provider"], each["state"]) for each in shown["attempts"]] == [
        ("test", "retrying"),
        ("test", "sent"),
    ]


async def each_recipient_fares_as_the_table_says(api: ApiRig, rig: DeadLetterRig, key: str) -> None:
    wanted = [(channel, name) for channel in CHANNELS for name, _ in RECIPIENTS]
    batch = [
        {"channel": channel, "recipient": addresses(channel)[name], **CONTENT[channel]}
        for channel, name in wanted
    ]
    answer = await api.ask("POST", "/v1/notifications/batch", key, json={"notifications": batch})
    assert answer.data["accepted"] == len(wanted)
    ids = [UUID(each["id"]) for each in answer.data["notifications"]]
    for (channel, name), id_ in zip(wanted, ids, strict=True):
        unknown = "unknown" if channel in {"sms", "whatsapp"} else "sent"
        await rig.reaches(id_, ENDS.get(name, unknown))

    async def archived() -> bool:
        answer = await api.ask("GET", "/v1/dead-letters?limit=100", key)
        reasons = [each["reason"] for each in answer.data["data"]]
        return sorted(reasons) == sorted(
            len(CHANNELS) * ["rejected", "rejected", "exhausted"] + 2 * ["outcome_unknown"]
        )

    await eventually(archived)
    for (_, name), id_ in zip(wanted, ids, strict=True):
        if name == "rejected-once":
            replayed = await api.ask("POST", f"/v1/dead-letters/{id_}/replay", key)
            assert (replayed.status, replayed.data["test"]) == (202, True)
            await rig.reaches(id_, "sent")
