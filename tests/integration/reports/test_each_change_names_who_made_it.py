"""Several people change things through one backend, and each change names the one who made it."""

import pytest
from structlog.testing import capture_logs
from tests.integration.cli.test_asking_what_happened import RETRY, made

from tidings.delivery.errors import InvalidRequest
from tidings.delivery.id_prefix import IdPrefix
from tidings.operations import channels, notifications, topology
from tidings.operations.actor import Actor
from tidings.operations.backend import opened
from tidings.operations.channels import HistoryRequest, OrderRequest
from tidings.operations.notifications import CancelRequest, NotificationView, ShowRequest
from tidings.operations.requeues import RequeueRequest, requeue
from tidings.settings import Settings

JANE = Actor("console", "jane")
SHOP = Actor("api-key", "shop")


async def test_each_change_names_the_person_or_key_that_made_it(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDINGS_DATABASE_URL", database_url)
    id_ = await made(database_url, RETRY)
    prefix = IdPrefix.parse(str(id_))
    async with opened(Settings(), "api") as backend:
        requeued = await requeue(backend, JANE, RequeueRequest(ids=[prefix]))
        cancelled = await notifications.cancel(backend, SHOP, CancelRequest(prefix, "sold out"))
        await channels.pause(backend, JANE, OrderRequest("email", note="new relay"))
        await channels.resume(backend, SHOP, OrderRequest("email"))
        view = await notifications.show(backend, ShowRequest(prefix))
        orders = await channels.history(backend, HistoryRequest("email", 2))
        with pytest.raises(InvalidRequest) as refusal:
            await channels.disable_provider(backend, JANE, OrderRequest("email", "backup"))
    assert isinstance(view, NotificationView)
    changes = [
        transition
        for transition in view.story.history
        if not transition.of_an_attempt and transition.before
    ]
    assert [change.actor for change in changes] == ["console jane", "api-key shop"]
    assert [order.actor for order in orders] == ["api-key shop", "console jane"]
    assert requeued.as_data()["requeued"] == [{"id": id_, "state": "retrying"}]
    assert cancelled.as_data()["state"] == "cancelled"
    assert "body" not in view.as_data()
    assert refusal.value.field == "provider"


async def test_a_change_that_no_row_keeps_is_logged_with_its_actor(
    broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDINGS_AMQP_URL", broker_url)
    with capture_logs() as lines:
        await topology.apply(Settings(), JANE)
    assert [line["actor"] for line in lines if line["event"] == "topology applied"] == [
        "console jane"
    ]
