"""The inbox component in a page: how it looks, who can use it, and what a message can't do to the page."""

import os
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from tests.browser.conftest import Tab, World
from tests.support.inbox_component import node_modules

pytestmark = pytest.mark.asyncio(loop_scope="session")

LOOKS = Path(__file__).parent / "looks"
WRITE = "TIDINGS_TEST_WRITE_LOOKS"
"""Set, the looks are written anew instead of compared."""
CELLS = 24
"""Into so many columns a screenshot is reduced: what is left is where things are and their colours, not the shapes of letters."""
MESSAGES: list[dict[str, Any]] = [
    {
        "title": "Your weekly report is ready",
        "body": "Revenue rose by 12 %.",
        "action_url": "/reports/42",
    },
    {
        "title": "Deploy of checkout finished",
        "body": "Version 2.14.0 is live.",
        "severity": "success",
    },
    {
        "title": "Your card expires soon",
        "body": "Update it before 1 December.",
        "severity": "warning",
        "actions": [
            {"id": "update", "label": "Update", "url": "/billing"},
            {"id": "later", "label": "Later"},
        ],
    },
    {"title": "Sign-in from a new device", "severity": "critical", "action_url": "/security"},
]
REDUCE = """
async ([png, cells]) => {
  const image = await createImageBitmap(await (await fetch(`data:image/png;base64,${png}`)).blob());
  const rows = Math.round(image.height / image.width * cells);
  const canvas = new OffscreenCanvas(cells, rows);
  const drawn = canvas.getContext('2d');
  drawn.imageSmoothingQuality = 'high';
  drawn.drawImage(image, 0, 0, cells, rows);
  return [...drawn.getImageData(0, 0, cells, rows).data].filter((_, n) => n % 4 !== 3);
}
"""


async def opened(world: World, tab: Tab, unread: int = 4) -> None:
    await tab.live(unread)
    await tab.bell.click()
    await tab.until("shown.length > 0")


async def violations(tab: Tab) -> list[str]:
    """What axe-core finds wrong with the page."""
    await tab.page.evaluate((node_modules() / "axe-core" / "axe.min.js").read_text("utf-8"))
    await tab.page.emulate_media(reduced_motion="reduce")  # what is half faded in has less contrast
    found = await tab.page.evaluate("async () => (await axe.run(document)).violations")
    return [
        f"{it['id']}: {node['target']} {node['failureSummary']}"
        for it in found
        for node in it["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
async def test_it_looks_as_it_was_designed_and_anybody_can_use_it(
    world: World, scheme: Any, width: int
) -> None:
    user = world.user()
    await world.deliver(user, *MESSAGES)
    how = {
        "viewport": {"width": width, "height": 720},
        "color_scheme": scheme,
        "reduced_motion": "reduce",
    }
    async with world.signed_in(user, **how) as context:
        tab = await world.visit(context)
        await opened(world, tab)
        await tab.page.mouse.move(5, 700)
        shot = await tab.page.screenshot(scale="css")
        assert await violations(tab) == []
        reducing = await context.new_page()
        await reducing.goto(f"{world.site.origin}/shop?html=<title>x</title>")
        cells = bytes(await reducing.evaluate(REDUCE, [b64encode(shot).decode(), CELLS]))
    look = LOOKS / f"{scheme}-{width}.rgb"
    if os.environ.get(WRITE):
        LOOKS.mkdir(exist_ok=True)
        look.write_bytes(cells)
    differing = [abs(a - b) for a, b in zip(cells, look.read_bytes(), strict=True)]
    assert sum(differing) / len(differing) < 3
    assert sorted(differing)[-len(differing) // 100] < 60


async def test_every_state_can_be_used_by_anybody(world: World) -> None:
    user = world.user()
    async with world.at(user) as tab:
        await tab.live(0)
        await tab.bell.click()
        await tab.inbox.get_by_text("You’re all caught up").wait_for()
        assert await violations(tab) == []
        await world.deliver(user, *MESSAGES)
        await tab.until("shown.length === 4")
        await tab.messages.first.hover()
        await tab.messages.first.get_by_title("More").click()
        await tab.inbox.get_by_text("Snooze until tomorrow").wait_for()
        assert await violations(tab) == []


async def test_the_menu_is_loaded_when_it_is_needed_and_again_if_that_failed(world: World) -> None:
    user = world.user()
    await world.deliver(user, {"title": "Hello"})
    async with world.at(user) as tab:
        loaded: list[str] = []
        tab.page.on("request", lambda request: loaded.append(request.url.rpartition("/")[2]))
        await opened(world, tab, 1)
        assert "menu.js" not in loaded
        await tab.page.route("**/menu.js", lambda route: route.abort())
        await tab.messages.first.hover()
        await tab.messages.first.get_by_title("More").click()
        await tab.inbox.locator(".toast").get_by_text("You’re offline.").wait_for()
        await tab.page.unroute("**/menu.js")
        await tab.messages.first.get_by_title("More").click()
        await tab.inbox.get_by_text("Snooze until tomorrow").click()
        await tab.live(0)


async def test_a_list_that_can_not_be_loaded_says_so_and_is_loaded_at_another_try(
    world: World,
) -> None:
    user = world.user()
    await world.deliver(user, {"title": "Hello"})
    async with world.at(user) as tab:
        await tab.live(1)
        await tab.page.route("**/v1/inbox?*", lambda route: route.abort())
        await tab.bell.click()
        await tab.inbox.get_by_text("could not be loaded").wait_for()
        assert await violations(tab) == []
        await tab.page.unroute("**/v1/inbox?*")
        await tab.inbox.get_by_text("Try again").click()
        await tab.until("shown.join() === 'Hello'")


async def test_the_keyboard_is_enough_and_the_focus_stays_when_the_list_changes(
    world: World,
) -> None:
    user = world.user()
    await world.deliver(user, *({"title": f"Message {n}"} for n in range(1, 5)))
    async with world.at(user) as tab:
        press = tab.page.keyboard.press
        await tab.live(4)
        await press("Tab")
        await tab.has_focus("bell")
        await press("Enter")
        await tab.until("shown.length === 4")
        await tab.has_focus("panel")
        await press("ArrowDown")
        await press("ArrowDown")
        assert await focused_title(tab) == "Message 3"
        await world.deliver(user, {"title": "Message 5"})
        await tab.until("shown.length === 5")
        assert await focused_title(tab) == "Message 3"
        for key in ("Tab", "Tab", "Tab"):  # title, read, archive
            await press(key)
        await press("Enter")
        await tab.until("shown.join() === 'Message 5,Message 4,Message 2,Message 1'")
        assert await focused_title(tab) == "Message 2"
        await press("End")
        assert await focused_title(tab) == "Message 1"
        await press("Home")
        assert await focused_title(tab) == "Message 5"
        await press("Enter")
        await tab.live(3)
        for key in ("Tab", "Tab", "Tab", "Tab"):
            await press(key)
        await press("Enter")
        await tab.page.wait_for_function(
            "document.querySelector('tidings-inbox').shadowRoot.activeElement?.role === 'menuitem'"
        )
        await press("End")
        await press("Enter")
        await tab.until("shown[0] === 'Message 4'")
        assert await focused_title(tab) == "Message 4"
        await press("Escape")
        await tab.has_focus("bell")
        assert not await tab.panel.is_visible()
        await press("Enter")
        await tab.has_focus("panel")
        await press("Shift+Tab")
        for _ in range(3):
            await press("Tab")
        await tab.has_focus("tab")
        await press("ArrowRight")
        await press("ArrowRight")
        await tab.until("shown.join() === 'Message 3'")


async def focused_title(tab: Tab) -> str:
    """Of the message in which the focus is."""
    script = "document.querySelector('tidings-inbox').shadowRoot.activeElement?.closest('.message')?.querySelector('.title').textContent"
    return str(await tab.page.evaluate(script))


@pytest.mark.parametrize("query", [{"lang": "ar"}, {"lang": "en", "dir": "rtl"}])
async def test_it_is_laid_out_from_right_to_left(world: World, query: dict[str, str]) -> None:
    user = world.user()
    await world.deliver(user, *MESSAGES)
    async with world.at(user, **query) as tab:
        await opened(world, tab)
        first = tab.messages.first
        sign, title = first.locator(".sign"), first.locator(".title")
        at, beside = await sign.bounding_box(), await title.bounding_box()
        assert at is not None
        assert beside is not None
        assert at["x"] > beside["x"] + beside["width"] - 1
        if query["lang"] == "ar":
            assert await tab.inbox.get_by_text("الإشعارات").is_visible()
        assert await violations(tab) == []


async def test_a_strict_policy_of_the_page_forbids_nothing_that_it_needs(world: World) -> None:
    user = world.user()
    await world.deliver(user, *MESSAGES)
    async with world.signed_in(user) as context:
        await context.add_init_script(
            "window.broken = []; addEventListener('securitypolicyviolation', (event) => broken.push(event.violatedDirective))"
        )
        tab = await world.visit(context, "strict", lang="de")
        await opened(world, tab)
        await tab.messages.first.hover()
        await tab.messages.first.get_by_title("Mehr").click()
        await tab.inbox.get_by_text("Archivieren").last.click()
        await tab.until("shown.length === 3")
        await tab.inbox.get_by_text("Archiviert").click()
        await tab.until("shown.length === 1")
        assert await tab.page.evaluate("broken") == []
        assert await tab.panel.evaluate("(it) => getComputedStyle(it).display") == "flex"
        assert tab.faults == []


async def test_no_message_is_read_as_html_or_leads_where_it_should_not(world: World) -> None:
    user = world.user()
    title = "<img src=x onerror='document.title=1'><b>Bold</b>"
    hostile = [
        "javascript:document.title=1",
        "//evil.example",
        "/\\evil.example",
        "data:text/html,x",
    ]
    await world.deliver(
        user,
        *({"title": title, "body": title, "action_url": url} for url in hostile),
        {
            "title": "Good",
            "action_url": "/orders",
            "actions": [{"id": "a", "label": title, "url": hostile[0]}],
        },
    )
    async with world.at(user) as tab:
        await opened(world, tab, 5)
        assert await tab.titled("Bold").count() == 4 + 1
        assert await tab.messages.locator("img, b").count() == 0
        links = await tab.messages.locator("a").evaluate_all("(all) => all.map((it) => it.href)")
        assert links == [f"{world.site.origin}/orders"]
        for at in (1, 2, 3, 4):
            await tab.messages.nth(at).locator(".title").click()
        await tab.inbox.locator(".action").click()
        assert await tab.page.title() in {"Shop"}


@pytest.mark.parametrize("attribute", ["open", "inline"])
async def test_it_can_be_open_from_the_beginning(world: World, attribute: str) -> None:
    user = world.user()
    await world.deliver(user, {"title": "Hello"})
    async with world.at(user, attributes=f'token-url="/inbox-token" {attribute}') as tab:
        await tab.until("shown.join() === 'Hello' && inbox.open")
        assert await tab.panel.is_visible()
        assert await tab.bell.is_visible() is (attribute == "open")
        await tab.page.evaluate(
            "document.querySelector('main').append(document.querySelector('tidings-inbox'))"
        )
        await tab.until("shown.join() === 'Hello' && inbox.open")


async def test_a_page_can_take_over_a_click_and_hears_of_all_that_happens(world: World) -> None:
    user = world.user()
    await world.deliver(user, *MESSAGES)
    async with world.at(user) as tab:
        await tab.page.evaluate(
            """() => {
              window.heard = [];
              for (const name of ['open', 'close', 'click', 'action', 'message'])
                document.addEventListener(`tidings-${name}`, (event) => {
                  heard.push([name, event.detail?.url ?? null]);
                  event.preventDefault();
                });
            }"""
        )
        await opened(world, tab)
        await tab.titled("Sign-in").locator(".title").click()
        await tab.live(3)
        await tab.inbox.get_by_text("Update", exact=True).click()
        await tab.live(2)
        await tab.page.mouse.click(20, 700)
        await world.deliver(user, {"title": "Another"})
        await tab.live(3)
        origin = world.site.origin
        assert await tab.page.evaluate("heard") == [
            ["open", None],
            ["click", f"{origin}/security"],
            ["action", f"{origin}/billing"],
            ["close", None],
            ["message", None],
        ]
        [row] = await world.api.fetch(
            "SELECT action FROM inbox_messages WHERE user_id = $1 AND acted_at IS NOT NULL", user
        )
        assert row["action"] == "update"
        assert (await tab.state())["counts"]["unseen"] == 1, "what was open was seen"


async def test_a_link_that_is_opened_in_another_tab_is_not_left_to_the_page(world: World) -> None:
    user = world.user()
    await world.deliver(user, {"title": "Hello", "action_url": "/orders"})
    async with world.signed_in(user) as context:
        tab = await world.visit(context)
        await tab.page.evaluate(
            "document.addEventListener('tidings-click', (event) => event.preventDefault())"
        )
        await opened(world, tab, 1)
        async with context.expect_page() as other:
            await tab.titled("Hello").locator(".title").click(modifiers=["Control"])
        await (await other.value).wait_for_url(f"{world.site.origin}/orders")
        await tab.live(0)


async def test_what_a_page_sets_before_the_element_is_defined_is_kept(world: World) -> None:
    user = world.user()
    await world.deliver(user, {"title": "Hello"})
    page = f"""<!doctype html><html lang="en"><title>Shop</title><tidings-inbox></tidings-inbox><script>
      const inbox = document.querySelector("tidings-inbox");
      inbox.token = async () => (await fetch("/inbox-token")).text();
      inbox.tabs = ["unread"];
    </script><script type="module" src="{world.site.api}/inbox/v1/tidings-inbox.js"></script></html>"""
    async with world.at(user, html=page) as tab:
        await tab.live(1)
        assert await tab.inbox.locator(".tab").count() == 1


async def test_what_is_before_nobody_s_eyes_is_not_seen(world: World) -> None:
    user = world.user()
    async with world.at(user) as tab:
        await tab.live(0)
        await tab.page.evaluate(
            """() => {
              window.list = document.createElement('tidings-inbox');
              list.toggleAttribute('inline', true);
              list.client = document.querySelector('tidings-inbox').client;
              document.querySelector('main').append(list);
            }"""
        )
        for n, (away, back) in enumerate(
            [
                ("list.remove()", "document.querySelector('main').append(list)"),
                ("list.hidden = true", "list.hidden = false"),
            ]
        ):
            await tab.page.evaluate(away)
            await world.deliver(user, {"title": "Hello"})
            await tab.live(n + 1)
            await tab.page.wait_for_timeout(300)
            assert (await tab.state())["counts"]["unseen"] == 1
            await tab.page.evaluate(back)
            await tab.until("state.counts.unseen === 0")


async def test_long_labels_stay_in_the_panel_and_forced_colours_show_which_tab_is_chosen(
    world: World,
) -> None:
    user = world.user()
    labels = [{"id": "a", "label": "W" * 40}, {"id": "b", "label": "Long words " * 3}]
    await world.deliver(user, {"title": "Hello", "actions": labels})
    async with world.signed_in(user, forced_colors="active") as context:
        tab = await world.visit(context)
        await opened(world, tab, 1)
        widths = "(all) => all.map((it) => getComputedStyle(it).borderBottomWidth)"
        assert await tab.inbox.locator(".tab").evaluate_all(widths) == ["2px", "0px", "0px"]
        panel = await tab.panel.bounding_box()
        assert panel is not None
        for action in await tab.inbox.locator(".action").all():
            box = await action.bounding_box()
            assert box is not None
            assert box["x"] + box["width"] <= panel["x"] + panel["width"]


async def test_a_page_that_names_no_language_has_that_of_the_browser(world: World) -> None:
    html = (
        f'<!doctype html><script type="module" src="{world.site.api}/inbox/v1/tidings-inbox.js"></script>'
        '<tidings-inbox token-url="/inbox-token"></tidings-inbox>'
    )
    async with world.signed_in(world.user(), locale="de-DE") as context:
        tab = await world.visit(context, html=html)
        await tab.inbox.get_by_label("Benachrichtigungen öffnen").wait_for()


async def test_the_language_that_was_chosen_last_is_spoken(world: World) -> None:
    user = world.user()
    async with world.at(user) as tab:
        await tab.live(0)
        await tab.page.evaluate(
            """() => {
              const inbox = document.querySelector('tidings-inbox');
              inbox.lang = 'de';
              inbox.lang = 'en';
            }"""
        )
        await tab.page.wait_for_timeout(300)
        name = await tab.bell.get_attribute("aria-label")
        assert name == "Open notifications"
        await tab.page.evaluate("document.querySelector('tidings-inbox').lang = 'de_AT'")
        await tab.page.wait_for_function(
            "document.querySelector('tidings-inbox').shadowRoot.querySelector('.bell').lang === 'de-AT'"
        )
