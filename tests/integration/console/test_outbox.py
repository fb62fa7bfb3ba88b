"""The outbox in the console; RabbitMQ is not there, so that all that is accepted waits in it."""

from uuid import UUID, uuid4

import pytest
from tests.support.console_rig import ConsoleRig, query_of
from tests.support.submission_rig import mail

from tidings.operations.jobs.runner import JobRunner

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


async def test_a_decision_about_entries_is_looked_at_then_started_with_a_reason(
    console: ConsoleRig,
) -> None:
    tenant = a_tenant()
    first, second = [await waiting(console, tenant) for _ in range(2)]
    operator = await console.person("read", "operate", tenant=tenant)
    page = await operator.get("/outbox")
    assert first in page.html
    assert second in page.html
    bulk = {"do": "mark_failed", "which": "ticked"}
    page = await operator.send("/outbox/bulk", bulk, id=first)
    assert (page.status, "give a reason" in page.text) == (422, True)
    assert f'value="{first}" aria-label="Tick {first}" checked' in page.html
    page = await operator.send("/outbox/bulk", bulk, note="obsolete")
    assert (page.status, "tick the entries first" in page.text) == (422, True)
    page = await operator.send("/outbox/bulk", bulk, note="obsolete", id=[first, second])
    assert "Mark 2 outbox entries as failed?" in page.text
    assert "obsolete" in page.text
    assert first in page.html
    assert "failed" not in (await statuses(console, tenant)).values()
    late = await waiting(console, tenant)
    job = page.path.removeprefix("/console")
    started = await operator.send(f"{job}/start")
    assert "Nothing is done yet: it begins in" in started.text
    await ended(console, job)
    assert "marked failed" in (await operator.get(job)).text
    found = await statuses(console, tenant)
    assert (found[first], found[second], found[late] != "failed") == ("failed", "failed", True)
    page = await operator.send(
        "/outbox/bulk", do="retry", which="all", note="back", status="failed"
    )
    assert "Publish 2 outbox entries now?" in page.text


async def ended(console: ConsoleRig, job: str) -> None:
    """The undo window is over, and a scheduler has run the job."""
    id_ = UUID(job.rsplit("/", maxsplit=1)[-1])
    await console.api.execute("UPDATE jobs SET starts_at = now() WHERE id = $1", id_)
    taken = await console.api.backend.ledger.jobs.take("test", id_)
    assert taken is not None
    await JobRunner(console.api.backend, taken, "test").run()


async def test_entries_are_filtered_by_chips(console: ConsoleRig) -> None:
    tenant = a_tenant()
    id_ = await waiting(console, tenant)
    person = await console.person("read", tenant=tenant)
    await person.get("/outbox")
    page = await person.send("/outbox/find", user_id="ada", add="status:failed")
    assert query_of(page.path)["status"] == "failed"
    assert query_of(page.path)["user_id"].startswith("~")
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
    form = {"do": "mark_failed", "which": "ticked", "note": "mine", "id": id_}
    viewer = await console.person("read", tenant=tenant)
    assert "needs the role operator" in (await viewer.get("/outbox")).text
    assert (await viewer.send("/outbox/bulk", form)).status == 403
    other = await console.person(tenant=a_tenant())
    assert id_ not in (await other.get("/outbox")).html
    tester = await console.person(tenant=tenant, test=True)
    assert id_ not in (await tester.get("/outbox")).html
    for person in (other, tester):
        for which in ("ticked", "all"):
            page = await person.send("/outbox/bulk", {**form, "which": which})
            assert "Mark 0 outbox entries as failed?" in page.text
            assert id_ not in page.html
    assert (await statuses(console, tenant))[id_] != "failed"
