"""The outbox in the console; RabbitMQ is not there, so that all that is accepted waits in it."""

from uuid import uuid4

import pytest
from tests.support.console_rig import ConsoleRig, query_of
from tests.support.submission_rig import mail

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def waiting(console: ConsoleRig, tenant: str, *, test: bool = False) -> str:
    """Accept one that can't be published."""
    key = await console.api.key("send", tenant=tenant, test=test)
    json_ = {"Content-Type": "application/json"}
    body = mail(user_id="ada")
    answer = await console.api.ask("POST", "/v1/notifications", key, data=body, headers=json_)
    assert answer.status == 202
    return str(answer.data["id"])


def a_tenant() -> str:
    return f"t{uuid4().hex[:8]}"


async def statuses(console: ConsoleRig, tenant: str) -> dict[str, str]:
    key = await console.api.key("read", tenant=tenant)
    listed = await console.api.ask("GET", "/v1/outbox", key)
    return {entry["id"]: entry["status"] for entry in listed.data["data"]}


async def test_ticked_entries_are_given_up_and_taken_up_again_with_a_reason(
    console: ConsoleRig,
) -> None:
    tenant = a_tenant()
    first, second = [await waiting(console, tenant) for _ in range(2)]
    operator = await console.person("read", "operate", tenant=tenant)
    page = await operator.get("/outbox")
    assert first in page.html
    assert second in page.html
    page = await operator.send("/outbox/decide", decision="mark-failed", id=first)
    assert (page.status, "Give a reason" in page.text) == (422, True)
    assert f'value="{first}" aria-label="Tick {first}" checked' in page.html
    page = await operator.send("/outbox/decide", decision="mark-failed", note="obsolete")
    assert (page.status, "Tick at least one" in page.text) == (422, True)
    page = await operator.send(
        "/outbox/decide", decision="mark-failed", note="obsolete", id=[first, second]
    )
    assert "2 entries given up." in page.text
    assert "obsolete" in page.text
    assert await statuses(console, tenant) == {first: "failed", second: "failed"}
    page = await operator.send("/outbox/decide", decision="mark-pending", note="back", id=first)
    assert "1 entry marked as pending." in page.text
    assert (await statuses(console, tenant))[first] != "failed"
    page = await operator.send("/outbox/retry")
    assert "to be published at once." in page.text
    assert "failed" not in (await statuses(console, tenant)).values()


async def test_entries_are_filtered_by_chips(console: ConsoleRig) -> None:
    tenant = a_tenant()
    id_ = await waiting(console, tenant)
    person = await console.person("read", tenant=tenant)
    page = await person.get("/outbox?add=status:failed&user_id=ada")
    assert query_of(page.path) == {"user_id": "ada", "status": "failed"}
    assert id_ not in page.html
    assert "No entry matches" in page.text
    assert id_ in (await person.get("/outbox?user_id=ada")).html
    wrong = await person.get("/outbox?status=lost")
    assert (wrong.status, "is unknown" in wrong.text) == (422, True)


async def test_a_viewer_and_another_tenant_and_a_test_key_change_nothing(
    console: ConsoleRig,
) -> None:
    tenant = a_tenant()
    id_ = await waiting(console, tenant)
    form = {"decision": "mark-failed", "note": "mine", "id": id_}
    viewer = await console.person("read", tenant=tenant)
    assert "needs the role operator" in (await viewer.get("/outbox")).text
    assert (await viewer.send("/outbox/decide", form)).status == 403
    other = await console.person(tenant=a_tenant())
    assert id_ not in (await other.get("/outbox")).html
    page = await other.send("/outbox/decide", form)
    assert "0 entries given up. 1 not: the outbox has no such entry." in page.text
    tester = await console.person(tenant=tenant, test=True)
    assert id_ not in (await tester.get("/outbox")).html
    assert (await tester.send("/outbox/decide", form)).status == 404
    assert "0 entries to be published" in (await tester.send("/outbox/retry")).text
    assert (await statuses(console, tenant))[id_] != "failed"
