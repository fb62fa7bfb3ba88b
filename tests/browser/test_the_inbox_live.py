"""The inbox component in a browser: live, in several tabs, across everything that can happen to a connection."""

import asyncio
import time

import pytest
from playwright.async_api import Route
from tests.browser.conftest import World
from tests.support.user_tokens import token_of
from tests.support.worker_rig import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")

SEVERAL = 10_000
FILL = """
WITH head AS (
  INSERT INTO inbox_users (tenant, user_id, revision) VALUES ('default', $1, $2) RETURNING revision
)
INSERT INTO inbox_messages (tenant, user_id, id, position, revision, category, type, severity, title, body, seen_at)
SELECT 'default', $1, gen_random_uuid(), n, n, 'default', 'message', 'info', 'Message ' || n, repeat('Words. ', (n % 25)::int), now()
  FROM head, generate_series(1, $2) AS n
"""
READ = "SELECT FROM inbox_messages WHERE user_id = $1 AND read_at IS NOT NULL"
SCROLL = """
async () => {
  const root = document.querySelector('tidings-inbox').shadowRoot;
  const scroller = root.querySelector('.scroll');
  const rows = () => [...root.querySelectorAll('.message')];
  const frame = () => new Promise(requestAnimationFrame);
  for (let still = 0, height = 0; still < 30; still = height === scroller.scrollHeight ? still + 1 : 0) {
    height = scroller.scrollHeight;
    scroller.scrollTop = height;
    await frame();
  }
  const last = root.querySelectorAll('.title')[rows().length - 1].textContent;
  const frames = [];
  let most = 0, holes = 0;
  for (let n = 0; n < 80; n++) {
    const began = performance.now();
    scroller.scrollTop -= 900;
    await frame();
    frames.push(performance.now() - began);
    const view = scroller.getBoundingClientRect();
    const boxes = rows().map((row) => row.getBoundingClientRect());
    most = Math.max(most, boxes.length);
    holes += boxes[0].top > view.top || boxes.at(-1).bottom < view.bottom;
    holes += boxes.some((box, at) => at && Math.abs(box.top - boxes[at - 1].bottom) > 1);
  }
  return { last, most, holes, median: frames.sort((a, b) => a - b)[40] };
}
"""


async def test_tabs_of_a_user_share_a_connection_and_stay_in_step_and_others_see_nothing(
    world: World,
) -> None:
    ada, grace = world.user(), world.user()
    await world.deliver(ada, *({"title": f"For Ada {n}"} for n in range(3)))
    async with world.signed_in(ada) as hers, world.signed_in(grace) as others:
        first, second = await world.visit(hers), await world.visit(hers)
        stranger = await world.visit(others)
        for tab in (first, second):
            await tab.live(3)
            await tab.bell.click()
            await tab.until("shown.length === 3")
        await world.deliver(ada, {"title": "Live"})
        for tab in (first, second):
            await tab.until("shown[0] === 'Live' && state.counts.unread === 4")
        await first.titled("For Ada 1").hover()
        await first.titled("For Ada 1").get_by_title("Mark as read").click()
        await second.live(3)
        await second.titled("For Ada 2").hover()
        await second.titled("For Ada 2").get_by_title("Archive").click()
        for tab in (first, second):
            await tab.until(
                "state.counts.unread === 2 && shown.join() === 'Live,For Ada 1,For Ada 0'"
            )
        assert len(first.sockets) + len(second.sockets) == 1
        await stranger.live(0)
        assert (await stranger.state())["revision"] == 0

        leader, follower = (first, second) if first.sockets else (second, first)
        await leader.page.close()
        await follower.until("state.status === 'live'")
        await world.deliver(ada, {"title": "After the leader"})
        await follower.until("shown[0] === 'After the leader' && state.counts.unread === 3")
        assert len(follower.sockets) == 1
        assert leader.faults + follower.faults == []


async def test_what_happened_while_a_tab_was_offline_is_there_when_it_is_back(world: World) -> None:
    user = world.user()
    await world.deliver(user, {"title": "Before"})
    async with world.signed_in(user) as context:
        tab = await world.visit(context)
        await tab.live(1)
        await tab.bell.click()
        await tab.until("shown.join() === 'Before'")
        await context.set_offline(True)
        await tab.until("state.status === 'offline' && state.reason === 'network'")
        assert await tab.inbox.locator(".strip").is_visible()
        await tab.titled("Before").hover()
        await tab.titled("Before").get_by_title("Mark as read").click()
        await tab.until("state.counts.unread === 0")
        await world.deliver(user, {"title": "Meanwhile"})
        await context.set_offline(False)
        await tab.until("shown.join() === 'Meanwhile,Before' && state.status === 'live'")
        await tab.live(1)
        assert await tab.inbox.locator(".strip").is_hidden()

        async def sent_later() -> bool:
            return bool(await world.api.fetch(READ, user))

        await eventually(sent_later)


async def test_a_token_that_has_expired_is_asked_for_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = world.user()
    await world.deliver(user, {"title": "Hello"})
    long_ago = int(time.time()) - 3600
    given = [token_of(user, iat=long_ago, exp=long_ago + 60), token_of(user)]
    monkeypatch.setattr(world.site, "token_of", lambda _: given.pop(0) if given[1:] else given[0])
    world.site.tokens_given.clear()
    async with world.at(user) as tab:
        await tab.live(1)
        assert world.site.tokens_given.count(user) == 2


async def test_a_session_that_is_revoked_ends_and_says_so(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = world.user()
    await world.deliver(user, {"title": "Hello"})
    token = token_of(user, iat=int(time.time()) - 5)
    monkeypatch.setattr(world.site, "token_of", lambda _: token)
    async with world.at(user) as tab:
        await tab.live(1)
        await tab.bell.click()
        key = await world.api.key("admin", "operate")
        answer = await world.api.ask(
            "POST", f"/v1/users/{user}/revoke-tokens?tenant=default", key, json={}
        )
        assert answer.status == 200, answer.data
        await tab.until("state.status === 'closed' && state.reason === 'revoked'")
        assert "session has ended" in await tab.inbox.locator(".strip").inner_text()


async def test_where_websockets_are_blocked_it_is_live_by_events(world: World) -> None:
    user = world.user()
    await world.deliver(user, {"title": "Hello"})
    async with world.signed_in(user) as context:
        await context.add_init_script("delete window.WebSocket")
        tab = await world.visit(context)
        await tab.live(1)
        await world.deliver(user, {"title": "By an event"})
        await tab.live(2)
        assert (tab.sockets, tab.faults) == ([], [])


async def test_a_mark_that_the_server_refuses_is_undone_before_the_users_eyes(world: World) -> None:
    user = world.user()
    [id_] = await world.deliver(user, {"title": "Stays"})
    async with world.at(user) as tab:
        await tab.live(1)
        await tab.bell.click()
        await tab.until("shown.join() === 'Stays'")
        shown = asyncio.Event()

        async def hold(route: Route) -> None:
            await shown.wait()
            await route.continue_()

        await tab.page.route("**/v1/inbox/snooze", hold)
        await tab.page.evaluate(
            """(id) => {
              const { client } = document.querySelector('tidings-inbox');
              window.refused = client.snooze(id, new Date(Date.now() + 1e11)).then(() => 'made', (error) => error.status);
            }""",
            str(id_),
        )
        await tab.until("shown.length === 0")
        shown.set()
        assert await tab.page.evaluate("window.refused") == 422
        await tab.until("shown.join() === 'Stays' && state.counts.unread === 1")
        assert "undone" in await tab.inbox.locator(".toast").inner_text()


async def test_read_all_spares_what_the_user_has_not_seen(world: World) -> None:
    user = world.user()
    await world.deliver(user, *({"title": f"Old {n}"} for n in range(40)))
    async with world.at(user) as tab:
        await tab.live(40)
        await tab.bell.click()
        await tab.until("shown.length > 5")
        await tab.inbox.get_by_title("Mark all as read").click()
        await tab.live(0)
        await world.deliver(user, {"title": "New"})
        await tab.until("state.counts.unread === 1 && shown[0] === 'New'")


@pytest.mark.timeout(90)
async def test_ten_thousand_messages_scroll_with_few_of_them_in_the_document(world: World) -> None:
    user = world.user()
    await world.api.execute(FILL, user, SEVERAL)
    async with world.at(user) as tab:
        await tab.live(SEVERAL)
        assert await tab.inbox.locator(".badge").inner_text() == "99+"
        await tab.bell.click()
        await tab.until("shown.length > 5")
        scrolled = await tab.page.evaluate(SCROLL)
        assert scrolled["last"] == "Message 1"
        assert scrolled["most"] < 60
        assert scrolled["holes"] == 0
        assert scrolled["median"] < 50
        await world.deliver(user, {"title": "Above"})
        await tab.inbox.locator(".newer").click()
        await tab.until("shown[0] === 'Above'")
