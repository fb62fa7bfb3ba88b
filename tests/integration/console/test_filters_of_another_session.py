"""A filter that another session sealed can't be read: nothing is listed, exported or acted on as if it were not there."""

from typing import Any, Final
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from tests.support.attempts import attempt_of
from tests.support.console_rig import ConsoleRig, Person, Shown, query_of
from tests.support.ledger_rig import LedgerRig
from tests.support.stored_dead_letters import store_dead_letter

from tidings.delivery.states import State

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCOPES: Final = ("read", "operate", "reveal")
REFUSED: Final = "this filter was typed in another session: type it again"
PATHS: Final = ("/notifications", "/outbox", "/failures", "/failures/5e5510")


class Tab:
    """A page that is still open, with a filter of the session before.

    Args:
        tenant: Whose both sessions are.
        person: In the new session.
        sealed: The filter `user_id:ada`, as the session before sealed it.
    """

    def __init__(self, tenant: str, person: Person, sealed: str) -> None:
        self.tenant = tenant
        self.person = person
        self.sealed = sealed


async def sealed_by(person: Person, path: str, name: str, value: str) -> str:
    """A filter as a person's session seals it."""
    return query_of((await person.get(f"{path}?{name}={value}")).path)[name]


@pytest_asyncio.fixture(loop_scope="module")
async def tab(console: ConsoleRig) -> Tab:
    tenant = f"t{uuid4().hex[:8]}"
    earlier = await console.person(*SCOPES, tenant=tenant)
    sealed = await sealed_by(earlier, "/notifications", "user_id", "ada")
    person = await console.person(*SCOPES, tenant=tenant, name=f"of-{tenant}")
    await person.get("/notifications")
    return Tab(tenant, person, sealed)


async def stored(console: ConsoleRig, tenant: str, user_id: str) -> UUID:
    """Store a notification."""
    attempt = attempt_of(tenant=tenant, user_id=user_id)
    await LedgerRig(console.api.backend.ledger.database).put(attempt, State.SENT)
    return attempt.id


def refuses(shown: Shown) -> bool:
    return shown.status == 422 and REFUSED in shown.text


async def test_an_export_is_refused_rather_than_having_everybody(
    console: ConsoleRig, tab: Tab
) -> None:
    ada, bob = [str(await stored(console, tab.tenant, name)) for name in ("ada", "bob")]
    export, person = "/notifications/export", tab.person
    masked = await person.get(f"{export}?user_id={tab.sealed}&format=csv")
    revealed = await person.send(export, user_id=tab.sealed, format="csv")
    for shown in (masked, revealed):
        assert refuses(shown), shown.text
        assert bob not in shown.html
    [row] = await console.api.fetch(
        "SELECT count(*) FROM operator_actions WHERE action = 'revealed people and content'"
        " AND actor LIKE $1",
        f"console of-{tab.tenant} %",
    )
    assert row["count"] == 0
    own = await sealed_by(person, "/notifications", "user_id", "ada")
    masked = await person.get(f"{export}?user_id={own}&format=csv")
    revealed = await person.send(export, user_id=own, format="csv")
    for shown in (masked, revealed):
        assert (ada in shown.html, bob in shown.html) == (True, False)


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/failures/bulk", {"do": "replay"}),
        ("/failures/5e5510/bulk", {"do": "discard", "note": "tests"}),
        ("/outbox/bulk", {"do": "mark_failed", "note": "tests"}),
    ],
)
async def test_a_bulk_action_is_refused_rather_than_taking_all(
    console: ConsoleRig, tab: Tab, path: str, fields: dict[str, Any]
) -> None:
    await store_dead_letter(console.api, "5e5510", tab.tenant, user_id="bob")
    jobs = "SELECT count(*) FROM jobs WHERE tenant = $1"
    before = await console.api.fetch(jobs, tab.tenant)
    shown = await tab.person.send(path, fields, which="all", user_id=tab.sealed)
    assert refuses(shown), shown.text
    assert await console.api.fetch(jobs, tab.tenant) == before
    own = await sealed_by(tab.person, path.removesuffix("/bulk"), "user_id", "ada")
    shown = await tab.person.send(path, fields, which="all", user_id=own)
    assert shown.path.startswith("/console/jobs/")


@pytest.mark.parametrize("path", PATHS)
async def test_a_filter_that_is_added_does_not_drop_it(
    console: ConsoleRig, tab: Tab, path: str
) -> None:
    await stored(console, tab.tenant, "bob")
    id_ = str(await store_dead_letter(console.api, "5e5510", tab.tenant, user_id="bob"))
    more = "status:failed" if path == "/outbox" else "channel:email"
    for typed in ("", more):
        shown = await tab.person.send(f"{path}/find", user_id=tab.sealed, add=typed)
        assert refuses(shown), (typed, shown.text)
        assert shown.html.count("data-row") == 0
        assert id_ not in shown.html
        assert "The same from a terminal" not in shown.html.partition('class="chips"')[2]
        assert typed.replace(":", ": ") in shown.text  # it is kept
    assert refuses(await tab.person.get(f"{path}?user_id={tab.sealed}"))


async def test_an_address_that_is_typed_or_named_openly_does_not_drop_it(
    console: ConsoleRig, tab: Tab
) -> None:
    await stored(console, tab.tenant, "bob")
    await store_dead_letter(console.api, "5e5510", tab.tenant, user_id="bob")
    for typed in ("ada@example.com", "bob"):
        shown = await tab.person.send("/notifications/find", user_id=tab.sealed, add=typed)
        assert refuses(shown), (typed, shown.text)
    for path in PATHS:
        shown = await tab.person.get(f"{path}?user_id={tab.sealed}&user_id=bob")
        assert refuses(shown), shown.text
        assert "user_id=bob" not in shown.path


async def test_who_may_not_search_subjects_any_more_is_told_so(
    console: ConsoleRig, tab: Tab
) -> None:
    id_ = str(await stored(console, tab.tenant, "bob"))
    sealed = await sealed_by(tab.person, "/notifications", "subject", "Your code")
    viewer = await console.person("read", tenant=tab.tenant)
    await viewer.get("/notifications")
    for typed in ("", "state:sent", "bob"):
        shown = await viewer.send("/notifications/find", subject=sealed, add=typed)
        assert (shown.status, "A search finds out subjects" in shown.text) == (403, True), typed
        assert id_ not in shown.html
