"""A day of a shop, with RabbitMQ: pages that follow what happens, and the pictures of docs/console.md (`make pictures`)."""

import os
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio
from playwright.async_api import Page
from tests.browser.console.conftest import PICTURES, Desk, overflows, violations
from tests.browser.console.story import DOWN, tell
from tests.conftest import BrokerAddress
from tests.support.apart import run_apart
from tests.support.stored_dead_letters import store_dead_letter
from tests.support.worker_rig import eventually

from tidings.operations.jobs.hosting import JobHost
from tidings.runtime.background import BackgroundTask
from tidings_local.management import Management

pytestmark = pytest.mark.asyncio(loop_scope="session")

CHANNELS: Final = {
    "TIDINGS_EMAIL_HOST": "mail.example.com",
    "TIDINGS_EMAIL_SENDER": "Shop <hello@example.com>",
}
FOLDER: Final = Path("docs/console") if os.environ.get("WRITE_PICTURES") else PICTURES / "docs"
SIZE: Final = {"width": 1280, "height": 860}
DELIVERED: Final = """
UPDATE notifications SET state = 'sent', finished_at = now() FROM job_items AS item JOIN dead_letters ON dead_letters.id = item.item
 WHERE item.job = $1::uuid AND item.position <= $2 AND notifications.id = dead_letters.notification_id
"""
MARK: Final = """
() => {
  const mark = [...document.querySelectorAll('[data-time]')].find((it) => it.textContent.includes(':'));
  const [hours, minutes] = mark.textContent.split(':').map(Number);
  return [Math.floor(mark.dataset.time / 60) % 1440, hours * 60 + minutes];
}
"""
"""Minutes of a day that a mark of a plot is at, in UTC and as it is shown."""
WHERE: Final = """
() => ({
  focus: document.activeElement.getAttribute('href'),
  row: document.querySelector('.current')?.id,
  open: document.querySelector('details.equivalents').open,
  place: Math.round(document.activeElement.getBoundingClientRect().top),
})
"""
"""What somebody has before them: the link with the focus and where it is, the row they are at, and what they opened."""


@pytest.fixture(scope="module")
def console_environment(console_environment: None, broker_address: BrokerAddress) -> Iterator[None]:
    """With RabbitMQ, and a channel that is configured."""
    vhost = Management(broker_address.management_url, f"test-{secrets.token_hex(6)}")
    run_apart(vhost.create())
    with pytest.MonkeyPatch.context() as variables:
        variables.setenv("TIDINGS_AMQP_URL", f"{broker_address.amqp_url}/{vhost.vhost}")
        for name, value in CHANNELS.items():
            variables.setenv(name, value)
        yield
    run_apart(vhost.delete())


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shop(desk: Desk) -> AsyncIterator[Desk]:
    """The console with the day in it, and a scheduler that runs jobs."""
    await tell(desk.rig)
    host = BackgroundTask("run jobs", JobHost(desk.rig.api.backend).run_for_ever)
    yield desk
    await host.end()


@asynccontextmanager
async def watching(shop: Desk, path: str) -> AsyncIterator[Page]:
    """Somebody who looks at a page whose seconds pass when the test says so."""
    async with shop.sitting(viewport=SIZE) as page:
        await page.clock.install()
        await page.goto(f"/console{path}")
        yield page


async def passes(page: Page, seconds: int = 10) -> None:
    """Let so much time pass, and the page fetch itself again if it does."""
    await page.clock.fast_forward(seconds * 1_000)
    await page.evaluate("() => fetch(location.href).then((reply) => reply.text())")


async def shows(page: Page, text: str) -> None:
    """Let time pass until the page says something."""

    async def shown() -> bool:
        await passes(page, 2)
        return await page.locator("main").get_by_text(text).count() > 0

    await eventually(shown)


async def shot(page: Page, name: str) -> None:
    """One picture of the guide."""
    await page.evaluate("scrollTo(0, 0)")
    await page.screenshot(path=FOLDER / f"{name}.png")


async def test_the_pictures_of_the_guide_show_a_day_of_a_shop(shop: Desk) -> None:
    async with shop.sitting(viewport=SIZE, color_scheme="light") as page:
        await page.goto("/console/?range=1h")
        await shot(page, "overview")
        await page.goto("/console/failures")
        await shot(page, "failures")
        await page.click("[data-row]:has-text('mailbox unavailable') a")
        await page.wait_for_selector("h1:has-text('mailbox unavailable')")
        await shot(page, "group")
        await page.click("[data-row] a")
        await page.wait_for_url("**/failures/dead-letters/*")
        await shot(page, "dead-letter")
    async with shop.sitting(viewport=SIZE, color_scheme="dark") as page:
        await page.goto("/console/notifications?state=failed&channel=sms")
        await page.click("[data-row] a")
        await page.wait_for_selector("text=Timeline")
        await shot(page, "notification")


async def test_the_overview_has_every_queue_with_its_age_and_every_provider_that_is_down(
    shop: Desk,
) -> None:
    api = shop.rig.api
    await api.execute(DOWN)
    key = await api.key("send")
    mail = {"channel": "email", "recipient": "ada@example.com", "subject": "a", "body": "b"}
    for _ in range(3):
        answer = await api.ask("POST", "/v1/notifications", key, json={**mail, "priority": "high"})
        assert answer.status == 202
    await api.backend.ledger.queue_ages.saw({"tidings.email.high": 0}, 420)
    async with shop.sitting() as page:
        queue = page.locator("#queues tr", has_text="tidings.email.high")
        await queue.wait_for()
        messages, age, consumers = (await queue.locator("td.number").all_inner_texts())[:3]
        assert (messages, age[:2], consumers) == ("3", "7m", "0")
        down = page.locator("#providers tr", has_text="primary")
        assert "no answer from api.twilio.com" in await down.first.inner_text()
        assert "sms primary is down" in await page.inner_text("#verdict")
        for width in (1280, 360):
            await page.set_viewport_size({"width": width, "height": 800})
            assert not await overflows(page)
        assert await violations(page) == []
        await page.click("#verdict a:has-text('sms primary is down')")
        await page.wait_for_url("**/channels")


async def test_the_numbers_below_the_pointer_are_told_and_checks_load_by_themselves(
    shop: Desk,
) -> None:
    async with shop.sitting(timezone_id="Asia/Kathmandu") as page:  # UTC+05:45
        assert await page.locator("[data-utc]").is_hidden()
        utc, shown = await page.evaluate(MARK)
        assert (shown - utc) % 1_440 == 5 * 60 + 45
        await page.locator("[data-plot]").first.hover()
        readout = await page.locator(".readout").first.inner_text()
        assert "email" in readout
        assert "sms" in readout
        await page.goto("/console/health")
        await page.locator("#checks table").wait_for()
        assert "PostgreSQL" in await page.inner_text("#checks")


async def test_what_comes_in_is_shown_and_nobody_loses_their_place(shop: Desk) -> None:
    async with watching(shop, "/failures") as page:
        for _ in range(3):
            await page.keyboard.press("j")
        await page.locator("details.equivalents summary").first.click()
        await page.locator("[data-row].current a").first.focus()
        before = await page.evaluate(WHERE)
        assert before["row"]
        await store_dead_letter(shop.rig.api, "beef01", "default", message="the newest one")
        await shows(page, "the newest one")
        assert await page.evaluate(WHERE) == before
        # Somebody who types, or has marked something, is left alone.
        await page.keyboard.press("/")
        await page.keyboard.type("chan")
        await store_dead_letter(shop.rig.api, "beef02", "default", message="one while they type")
        await passes(page)
        assert await page.locator("text=one while they type").count() == 0
        assert await page.input_value("[data-filter]") == "chan"
        await page.fill("[data-filter]", "")
        await page.keyboard.press("Escape")
        await page.evaluate("getSelection().selectAllChildren(document.querySelector('h1'))")
        await passes(page)
        assert await page.locator("text=one while they type").count() == 0
        assert await page.evaluate("String(getSelection())") == "Failures"
        await page.evaluate("getSelection().removeAllRanges()")
        await shows(page, "one while they type")


async def test_who_has_the_focus_on_something_that_is_gone_is_still_on_the_page(shop: Desk) -> None:
    api = shop.rig.api
    await store_dead_letter(api, "beef03", "default", message="soon gone")
    async with watching(shop, "/failures") as page:
        await page.focus("#group-beef03 a")
        await api.execute(
            "UPDATE dead_letters SET state = 'discarded' WHERE fingerprint = 'beef03'"
        )

        async def is_gone() -> bool:
            await passes(page)
            return await page.locator("#group-beef03").count() == 0

        await eventually(is_gone)
        assert await page.evaluate("document.activeElement.id") == "main"


async def test_a_job_is_followed_from_the_choice_to_its_last_wave(shop: Desk) -> None:
    api = shop.rig.api
    key = await api.key()
    chosen = {"reason": "rejected", "channel": "email", "category": "order-shipped"}
    body = {"kind": "replay", "dead_letters": chosen, "plan": {"canary": [2, 5]}}
    job = (await api.ask("POST", "/v1/jobs", key, json=body)).data
    id_, items = job["id"], job["item_count"]
    await api.execute("UPDATE jobs SET state = 'choosing' WHERE id = $1::uuid", id_)
    async with watching(shop, f"/jobs/{id_}") as page:
        assert "are being chosen" in await page.inner_text("main")
        await api.execute("UPDATE jobs SET state = 'preview' WHERE id = $1::uuid", id_)
        await shows(page, f"Replay {items} dead letters?")
        assert await page.title() == f"Replay {items} dead letters? · Tidings"
        assert (await api.ask("POST", f"/v1/jobs/{id_}/start", key)).status == 202
        await page.reload()
        await shows(page, f"2 of {items} done")
        await api.execute(DELIVERED, id_, 2)
        await shows(page, f"7 of {items} done")
        await api.execute(DELIVERED, id_, 7)
        await shows(page, f"{items} of {items} done")
        assert await page.locator("progress").get_attribute("value") == str(items)
        waves = page.locator("h2:has-text('Canary waves') + table tbody tr")
        assert [(await row.inner_text()).split() for row in await waves.all()] == [
            ["2", "2", "0", "0"],
            ["5", "5", "0", "0"],
        ]


async def test_of_two_operators_with_the_same_dead_letters_one_wins_and_the_other_is_told(
    shop: Desk,
) -> None:
    api = shop.rig.api
    dead_letter, _ = [str(await store_dead_letter(api, "beef04", "default")) for _ in range(2)]
    bob = await api.key(name="bob")
    async with shop.sitting() as jane, shop.sitting(key=bob) as other:
        for page in (jane, other):
            await page.goto(f"/console/failures/dead-letters/{dead_letter}")
        await jane.fill("#reason", "test data")
        await jane.click("button.danger")
        await jane.wait_for_selector("text=The dead letter was discarded")
        await other.click("#replay button.primary")
        await other.wait_for_selector("text=It was not replayed. It was discarded by console jane")
        await jane.goto("/console/failures/beef04")
        await jane.check("text=all 1 open ones")
        await jane.click("button[value=replay]")
        await jane.wait_for_url("**/jobs/*")
        await other.goto(jane.url)
        await jane.click("#start button.primary")
        await jane.wait_for_selector("#undo")
        await other.click("#start button.primary")
        await other.wait_for_selector("text=The job is running by console jane")
