"""An admin sees who is signed in, and ends a session at once."""

import re

import pytest
from tests.support.console_rig import ConsoleRig, Person

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def session_of(admin: Person, name: str) -> str:
    """The id of somebody's session, as the page shows it."""
    shown = await admin.get("/sessions")
    found = re.findall(r'id="session-([0-9a-f-]+)".*?<strong>([^<]*)</strong>', shown.html, re.S)
    [id_] = [id_ for id_, person in found if person.startswith(f"{name} ")]
    return str(id_)


async def test_an_admin_ends_a_session_at_once_and_the_trail_says_so(console: ConsoleRig) -> None:
    admin, person = await console.person(name="chief"), await console.person("read", name="lost")
    id_ = await session_of(admin, "lost")
    shown = await admin.send(f"/sessions/{id_}/end", note="laptop stolen")
    assert "The session of lost tk_live_" in shown.text
    assert "Sign in" in (await person.get("/")).text
    shown = await admin.send(f"/sessions/{id_}/end")
    assert (shown.status, "it is over" in shown.text) == (404, True)
    [entry] = await console.api.fetch(
        "SELECT actor, note, details FROM operator_actions WHERE action = 'end session' AND details->>'session' = $1",
        id_,
    )
    assert entry["actor"].startswith("console chief tk_live_")
    assert entry["note"] == "laptop stolen"


async def test_their_own_session_is_marked_and_sessions_that_are_over_are_not_there(
    console: ConsoleRig,
) -> None:
    admin, gone = await console.person(name="marked"), await console.person(name="gone-away")
    await gone.get("/")
    await gone.send("/sign-out")
    shown = await admin.get("/sessions")
    assert re.search(r"marked tk_live_\w+ this session", shown.text)
    assert "gone-away" not in shown.text


async def test_an_admin_of_one_tenant_or_of_tests_sees_and_ends_no_others(
    console: ConsoleRig,
) -> None:
    chief = await console.person(name="chief-of-all")
    other = await console.person(tenant="other", name="of-other")
    live = await console.person(tenant="shop", name="of-shop")
    for admin, may in (
        (await console.person(tenant="shop", name="shop-admin"), {"of-shop"}),
        (await console.person(tenant="shop", name="shop-tester", test=True), set()),
    ):
        text = (await admin.get("/sessions")).text
        for name in ("chief-of-all", "of-other", "of-shop"):
            assert (name in text) is (name in may), name
            id_ = await session_of(chief, name)
            if name not in may:
                assert (await admin.send(f"/sessions/{id_}/end")).status == 404
    for person in (chief, other, live):
        assert "Overview" in (await person.get("/")).text


async def test_what_is_no_id_ends_nothing(console: ConsoleRig) -> None:
    admin = await console.person()
    assert (await admin.send("/sessions/nothing/end")).status == 422
