"""A large request is read in turns with the others, and taken apart once."""

import asyncio

import pytest
from tests.support.submission_rig import ACTOR, KEY_HASH, mail

from tidings.operations.backend import Backend
from tidings.operations.submissions import checking, listing
from tidings.operations.submissions.callers import Caller
from tidings.operations.submissions.checking import ValidateRequest, validate
from tidings.settings import Settings

MANY = mail(recipient=None, recipients=[f"user{number}@example.com" for number in range(450)])


async def test_others_have_their_turn_while_many_are_validated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    read: list[int] = []
    reading = checking.read_submission

    def counted(*arguments: object, **named: object) -> object:
        read.append(turns)
        return reading(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(checking, "read_submission", counted)
    other = asyncio.create_task(take_turns())
    backend = Backend(Settings(), None)  # type: ignore[arg-type]
    view = await validate(
        backend, ACTOR, ValidateRequest(Caller("tk_live_shop", KEY_HASH, None), MANY)
    )
    other.cancel()
    assert view.notifications == 450
    assert len(set(read)) == 5


def test_recipients_are_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[bytes] = []
    parsing = listing.from_json

    def counted(body: bytes) -> object:
        parsed.append(body)
        return parsing(body)

    monkeypatch.setattr(listing, "from_json", counted)
    parts = listing.parts_if_several(MANY)
    assert parts is not None
    assert len(parts) == 450
    assert listing.parts_if_several(mail()) is None
    assert len(parsed) == 1
