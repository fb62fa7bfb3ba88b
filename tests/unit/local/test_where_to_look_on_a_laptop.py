"""What `make run` ends with can be pasted from a terminal of any width."""

import io
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest
from rich.console import Console
from rich.text import Text

from tidings.cli.sentences import Sentence
from tidings_local.up import where_to_look

LAPTOP = cast(
    "Any",
    SimpleNamespace(
        rabbitmq=SimpleNamespace(
            management_url="http://127.0.0.1:15672", user="tidings", password="f" * 24
        ),
        inbox=SimpleNamespace(url="http://127.0.0.1:8024/"),
        outbox=SimpleNamespace(url="http://127.0.0.1:8025/"),
        webhooks=SimpleNamespace(url="http://127.0.0.1:8026"),
        environment={"TIDINGS_HTTP_PORT": "9100", "TIDINGS_API_LISTEN": "127.0.0.1:8000"},
        environment_file=Path(".local/env"),
        log=Path(".local/tidings.log"),
    ),
)


@pytest.mark.parametrize("width", [60, 80])
def test_no_command_address_or_login_is_broken_or_framed(width: int) -> None:
    paper = io.StringIO()
    console = Console(file=paper, width=width, highlight=False)
    for line in where_to_look(LAPTOP, f"tk_live_{'k' * 38}", UUID(int=7)):
        console.print(Sentence(Text.from_markup(line)), crop=False)
    text = paper.getvalue()
    assert max(map(len, text.splitlines())) <= width
    lines = [line.strip() for line in re.sub(r" \\\n +", " ", text).splitlines()]
    assert re.search(r"^  tidings publish ", text, re.MULTILINE)
    for typed in (
        "source .local/env",
        "tidings publish email --to you@example.com --subject Hello --body 'It works.'",
        "tidings list",
        f"tidings / {'f' * 24}",
        "Console              http://127.0.0.1:8000/console/",
        f"KEY=tk_live_{'k' * 38}",
        f'curl -H "Authorization: Bearer $KEY" $API/notifications/{UUID(int=7)}',
    ):
        assert typed in lines
    for url in (
        "http://127.0.0.1:15672",
        "http://127.0.0.1:8024/",
        "http://127.0.0.1:8025/",
        "http://127.0.0.1:8026/",
        "http://127.0.0.1:9100/metrics",
        "http://127.0.0.1:8000/docs",
    ):
        assert any(line.endswith(url) for line in lines)
    assert not set("│╭╰┃") & set(text)
