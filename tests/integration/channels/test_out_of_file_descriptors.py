"""A process that may open no more files (EMFILE) has itself to blame: no attempt is spent, and it says so."""

import asyncio
import errno
import json
import socket
import sys
from pathlib import Path

import pytest
from tests.integration.channels.file_descriptors import TRIES

from tidings.runtime.shortage import shortage

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("channel", ["email", "webhook", "sms"])
async def test_nothing_is_spent_while_no_file_can_be_opened_and_all_goes_on_afterwards(
    channel: str,
) -> None:
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.integration.channels.file_descriptors", channel),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        shortage_text, _ = await program.communicate()
    assert json.loads(shortage_text) == {
        "met": ["released"] * TRIES,
        "short_of_resources": True,
        "suspended": True,
        "after": "sent",
        "short_after": False,
        "taken": 1,
    }


def caused_by(error: BaseException) -> Exception:
    """An error that a library raises for another one."""
    made = ValueError("of a library")
    made.__cause__ = error
    return made


@pytest.mark.parametrize(
    ("error", "ours", "ours_if_we_chose_the_server"),
    [
        (OSError(errno.EMFILE, "x"), True, True),
        (OSError(errno.ENFILE, "x"), True, True),
        (OSError(errno.ENOMEM, "x"), True, True),
        (OSError(errno.ENOBUFS, "x"), True, True),
        (OSError(errno.EADDRNOTAVAIL, "x"), False, True),
        (RuntimeError("can't start new thread"), True, True),
        (caused_by(OSError(errno.EMFILE, "x")), True, True),
        (OSError(errno.ECONNREFUSED, "x"), False, False),
        (OSError("Multiple exceptions"), False, False),
        (socket.gaierror(socket.EAI_NONAME, "x"), False, False),
        (RuntimeError("of ours"), False, False),
        (TimeoutError(), False, False),
    ],
    ids=repr,
)
def test_what_is_our_own_want(
    error: Exception, ours: bool, ours_if_we_chose_the_server: bool
) -> None:
    assert (shortage(error) is not None) is ours
    assert (shortage(error, chosen_by_us=True) is not None) is ours_if_we_chose_the_server
