"""A notification for a user of an application is in their inbox once it counts as sent."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from tests.support.inbox_rig import KeptHints, stored
from tests.support.worker_rig import Rig, eventually

from tidings.channels.in_app import SPEC
from tidings.channels.spec import ChannelServices, ChannelSetup
from tidings.delivery import ports
from tidings.delivery.errors import LedgerUnavailable
from tidings.delivery.ports import Record
from tidings.ledger import PostgresLedger
from tidings.ledger.inbox.messages import StoredMessage


@asynccontextmanager
async def working(rig: Rig, hints: KeptHints | None = None, **changes) -> AsyncIterator[None]:
    """A worker that puts messages into inboxes."""
    async with (
        PostgresLedger(rig.settings.ledger, actor="inboxes") as ledger,
        ledger.inbox_deliveries(hints) as inbox,
    ):
        setup = ChannelSetup(rig.settings.channels["in_app"], None, ChannelServices(inbox))
        async with rig.working(SPEC.build(setup), **changes):
            yield


async def published(rig: Rig, user: str = "ada", **fields: object) -> UUID:
    title = {} if "template" in fields else {"title": "Hello"}
    body = {"id": str(uuid4()), "channel": "in_app", "recipient": user, **title, **fields}
    await rig.publish("in_app.normal", body=json.dumps(body).encode())
    return UUID(str(body["id"]))


async def inbox_of(rig: Rig, user: str = "ada", tenant: str = "default") -> list[StoredMessage]:
    async with PostgresLedger(rig.settings.ledger, actor="reader") as ledger:
        return await stored(ledger.database, user, tenant)


async def test_a_published_notification_is_in_the_inbox_and_recorded_as_sent(rig: Rig) -> None:
    hints = KeptHints()
    async with working(rig, hints):
        id = await published(rig, body="Your parcel arrives today.", data={"parcel": 7})
        await rig.reaches(id, "sent")

    (found,) = await inbox_of(rig)
    assert (found.id, found.title, found.body) == (id, "Hello", "Your parcel arrives today.")
    assert found.data == {"parcel": 7}
    assert [(change.user_id, change.revision) for change in hints.changes] == [("ada", 1)]
    (attempt,) = await rig.fetch("SELECT provider, code, state FROM attempts")
    assert attempt == {"provider": "inbox", "code": "stored", "state": "sent"}


async def test_a_template_writes_title_and_body(rig: Rig, tmp_path: Path) -> None:
    folder = tmp_path / "order-shipped" / "default"
    folder.mkdir(parents=True)
    (folder / "title.j2").write_text("Order {{ order }} is on its way\n")
    (folder / "body.j2").write_text("{{ 'x' * 5000 }}\n")
    rig.templates.reload()
    async with working(rig):
        id = await published(rig, template="order-shipped", data={"order": 10042})
        await rig.reaches(id, "sent")

    (found,) = await inbox_of(rig)
    assert found.title == "Order 10042 is on its way"
    assert found.body == "x" * 3_999 + "…"
    assert found.data == {"order": 10042}


class RecordsNothing:
    """A ledger whose worker is killed, or cut off, after each send."""

    def __init__(self, ledger: ports.Ledger) -> None:
        self._ledger = ledger
        self.asked = asyncio.Event()

    def __getattr__(self, name: str) -> object:
        return getattr(self._ledger, name)

    async def record(self, record: Record) -> bool:
        self.asked.set()
        raise LedgerUnavailable("killed before it could record")


async def test_a_kill_between_commit_and_record_shows_the_message_once(make_rig) -> None:
    rig: Rig = await make_rig(
        TIDINGS_LEASE_MARGIN="0.1s", TIDINGS_IN_APP_SEND_TIMEOUT="0.5s", TIDINGS_GRACE="0.2s"
    )
    ledgers: list[RecordsNothing] = []

    def killed(ledger: ports.Ledger) -> ports.Ledger:
        ledgers.append(RecordsNothing(ledger))
        return ledgers[-1]  # type: ignore[return-value]  # the rest is the ledger's own

    dying = asyncio.create_task(_until_cancelled(rig, killed))
    await eventually(lambda: ledgers)
    id = await published(rig)
    await ledgers[0].asked.wait()
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)
    before = await inbox_of(rig)
    assert [message.id for message in before] == [id]

    async with working(rig):
        await rig.reaches(id, "sent", within=15)

    assert await inbox_of(rig) == before


async def _until_cancelled(rig: Rig, killed) -> None:
    async with working(rig, changed=killed):
        await asyncio.Event().wait()


@pytest.mark.parametrize("expires", [False, True])
async def test_expiry_of_the_category_does_not_take_a_message_out(make_rig, expires: bool) -> None:
    """It limits how late a message is delivered; only the message's own `expires_at` how long it is shown."""
    rig: Rig = await make_rig(
        TIDINGS_CATEGORIES=json.dumps({"transactional": {"expires_after": "1h"}})
    )
    ends = {"expires_at": "2027-06-01T00:00:00Z"} if expires else {}
    async with working(rig):
        await rig.reaches(await published(rig, **ends), "sent")

    (found,) = await inbox_of(rig)
    assert (found.expires_at is not None) is expires
