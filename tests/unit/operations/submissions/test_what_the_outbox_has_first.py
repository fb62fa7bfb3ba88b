"""An answer of the ledger about the outbox does not count if something was stored for it meanwhile."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pytest
from tests.support.submission_rig import KEY_HASH, mail

from tidings.broker.connection import BrokerConnection
from tidings.ledger import PostgresLedger
from tidings.ledger.notifications.accepting import LEFT_TO_OUTBOX, Stored, Submission
from tidings.operations.actor import Actor
from tidings.operations.submissions import intake
from tidings.operations.submissions.callers import Caller, submission_of
from tidings.operations.submissions.intake import OUTRUN, Intake
from tidings.operations.submissions.reading import read_submission
from tidings.settings import Settings
from tidings_events.notifications.base import new_id


class SlowAccepting:
    """A ledger whose outbox is empty, and which answers when it is let."""

    def __init__(self) -> None:
        self.store_goes_on = asyncio.Event()
        self.answer_goes_on = asyncio.Event()

    async def store(self, submissions: Sequence[Submission], **_: object) -> list[Stored]:
        await self.store_goes_on.wait()
        return [LEFT_TO_OUTBOX] * len(submissions)

    async def oldest_waiting(self) -> datetime | None:
        await self.answer_goes_on.wait()
        return None


class Setup:
    """An intake that stores for the outbox, with a broker that is there again."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        settings = Settings()
        self.ledger = SlowAccepting()
        self.intake: Any = Intake(settings, PostgresLedger(settings.ledger, actor="a test"))
        self.intake._accepting = self.ledger
        self.intake._outbox_first = True
        monkeypatch.setattr(BrokerConnection, "up", True)

    @property
    def outbox_first(self) -> bool:
        found: bool = self.intake._outbox_first
        return found

    def storing(self) -> asyncio.Task[list[Stored | None]]:
        caller = Caller("tk_live_shop", KEY_HASH, None)
        read = read_submission(mail(), None, new_id())
        submission = submission_of(self.intake, Actor("api-key", "shop"), caller, read)
        return asyncio.create_task(self.intake.accept_several([submission]))

    def looking(self) -> asyncio.Task[None]:
        return asyncio.create_task(self.intake._look_at_outbox())


@pytest.fixture
def setup(monkeypatch: pytest.MonkeyPatch) -> Setup:
    return Setup(monkeypatch)


async def turn() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_an_empty_outbox_is_left_while_nothing_is_stored_for_it(setup: Setup) -> None:
    setup.ledger.answer_goes_on.set()
    await setup.looking()
    assert not setup.outbox_first


async def test_what_is_stored_while_the_ledger_is_asked_is_not_overtaken(setup: Setup) -> None:
    looking = setup.looking()
    await turn()
    setup.ledger.store_goes_on.set()
    await setup.storing()
    setup.ledger.answer_goes_on.set()
    await looking
    assert setup.outbox_first


async def test_what_is_being_stored_is_not_overtaken(setup: Setup) -> None:
    setup.ledger.answer_goes_on.set()
    storing = setup.storing()
    await turn()
    await setup.looking()
    assert setup.outbox_first
    setup.ledger.store_goes_on.set()
    await storing
    await setup.looking()
    assert not setup.outbox_first


async def test_a_steady_load_leaves_the_outbox_in_the_end(setup: Setup) -> None:
    setup.ledger.answer_goes_on.set()
    storing = setup.storing()
    await turn()
    for _ in range(OUTRUN - 1):
        await setup.looking()
    assert setup.outbox_first
    await setup.looking()
    assert not setup.outbox_first
    setup.ledger.store_goes_on.set()
    await storing
    assert OUTRUN * intake.LOOKS < intake.STUCK
