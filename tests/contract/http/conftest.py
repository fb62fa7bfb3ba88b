"""An API with real servers behind it, and something of each kind to be read and acted on."""

import base64
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NoReturn

import aio_pika
import pytest
from tests.support.api_rig import ApiRig, serving
from tests.support.broker_rig import ONE_TIER
from tests.support.dead_letter_rig import DeadLetterRig, written
from tests.support.user_tokens import VARIABLES

from tidings.settings import Settings
from tidings.templates import copy_starter

NOWHERE = "amqp://127.0.0.1:1"
WAITING = 3
"""Notifications that were accepted while RabbitMQ was away."""
DEAD = 5
"""Dead letters."""
SUBMITTED = {"channel": "email", "recipient": "jane@example.com", "subject": "Hi", "body": "there"}


@pytest.fixture
def environment(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> pytest.MonkeyPatch:
    """Of an API on a free port, without a limit that a fast client would reach."""
    templates = tmp_path / "templates"
    copy_starter(templates)
    for name, value in {
        **ONE_TIER,
        **VARIABLES,
        "TIDINGS_TEMPLATES_ROOT": str(templates),
        "TIDINGS_DATABASE_URL": database_url,
        "TIDINGS_API_LISTEN": "127.0.0.1:0",
        "TIDINGS_API_RATE_LIMIT": "1000000",
        "TIDINGS_CATEGORIES": "{}",
        "TIDINGS_SEALING_KEYS": base64.b64encode(b"k" * 32).decode(),
    }.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.fixture
async def api(
    broker_url: str, environment: pytest.MonkeyPatch, tmp_path: Path
) -> AsyncIterator[ApiRig]:
    """It has dead letters, and what was accepted while RabbitMQ was away."""
    environment.setenv("TIDINGS_AMQP_URL", NOWHERE)
    async with serving(Settings().check()) as alone:
        key = await alone.key("send")
        for _ in range(WAITING):
            answer = await alone.ask("POST", "/v1/notifications", key, json=SUBMITTED)
            assert answer.status == 202
    environment.setenv("TIDINGS_AMQP_URL", broker_url)
    settings = Settings().check()
    async with await aio_pika.connect(broker_url) as connection:
        async with (
            DeadLetterRig(settings, tmp_path, await connection.channel()) as rig,
            rig.declared(),
        ):
            await rig.archived(*(written(recipient="jack@example.com") for _ in range(DEAD)))
        async with serving(settings) as api:
            yield api


def unavailable(why: object) -> NoReturn:
    """What a test needs can't be installed here: that is no fault, but in CI."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(str(why))
    raise AssertionError
