"""Every page and action of the console in a real Chromium: without scripts, by mouse, and by keyboard alone."""

import base64
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

import pytest
import pytest_asyncio
from playwright.async_api import Page
from tests.browser.console.conftest import (
    PATIENCE,
    Desk,
    overflows,
    picture,
    squeezed,
    violations,
)
from tests.browser.console.hands import Keyboard, Mouse
from tests.browser.console.story import DOWN, tell
from tests.browser.console.walk import OF_SCRIPTS, PAGES, STEPS, Looks, Things, Walk
from tests.support.attempts import attempt_of
from tests.support.console_rig import console_serving
from tests.support.ledger_rig import LedgerRig
from tests.support.paging import paging
from tests.support.relay import Relay
from tests.support.stored_dead_letters import store_dead_letter

from tidings.console.pages import dead_letter, editing, jobs
from tidings.delivery.jobs import LONGEST_DELAY
from tidings.delivery.states import State
from tidings.operations import schedules
from tidings.operations.actor import Actor
from tidings.operations.jobs.hosting import JobHost
from tidings.operations.schedules import CreateScheduleRequest
from tidings.runtime.background import BackgroundTask
from tidings.settings import Settings

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(300),
    # Apprise loads a hundred services, some of them older than Python.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning"),
]

CHANNELS: Final = {
    "TIDINGS_EMAIL_HOST": "mail.example.com",
    "TIDINGS_EMAIL_SENDER": "Shop <hello@example.com>",
    "TIDINGS_TWILIO_ACCOUNT_SID": "AC00000000000000000000000000000000",
    "TIDINGS_TWILIO_AUTH_TOKEN": "not-a-token",
    "TIDINGS_SMS_SENDER": "+15005550006",
    "TIDINGS_WEBHOOK_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "TIDINGS_SEALING_KEYS": base64.b64encode(b"k" * 32).decode(),
}
UNSEALED: Final = """
INSERT INTO alert_rules (id, tenant, name, watch, url, threshold, lasting, every, counted_from, created_by, updated_by)
VALUES (gen_random_uuid(), '*', $1, 'providers', 'slack://T1B2C3D4E/A1B2C3D4E/token', 1, 300, 900, now(), 'cli jane@desk', 'cli jane@desk')
"""
NOTED: Final = """
INSERT INTO dead_letter_group_notes (fingerprint, tenant, note, actor)
SELECT fingerprint, '*', 'The customer imports a list on Mondays; asked them to clean it, ticket 4711', 'console jane'
  FROM dead_letters WHERE code = '550 5.1.1' LIMIT 1
"""
MAIL: Final[dict[str, Any]] = {
    "subject": "Order 10042 has been shipped",
    "body": "Dear Ada,\n\nyour order is on its way.",
    "html": '<h1 style="color: red">On its way</h1><p>Dear <b>Ada</b>, <a href="https://shop.example/10042">follow it</a>.</p>'
    '<img src="https://spy.example/1.png" alt="A parcel"><script>steal()</script>',
    "category": "order-shipped",
    "user_id": "ada",
    "entity": {"type": "order", "id": "10042"},
}


WIDEST: Final = 3840
OF_LOOKS: Final = (
    "color-contrast",
    "link-in-text-block",
    "target-size",
    "scrollable-region-focusable",
)
"""Rules that depend on the light and the width; the others are about the same elements in any."""
ON_4K: Final = {"overview", "failures", "group", "edit", "job", "channels", "notification-revealed"}
"""One page of each kind: painting so much takes a second."""
SCREENS: Final[Any] = (("dark", 360), ("light", 1280), ("light", WIDEST))


@pytest.fixture(scope="module")
def console_environment(console_environment: None) -> Iterator[None]:
    """With channels that are configured."""
    with pytest.MonkeyPatch.context() as variables:
        for name, value in CHANNELS.items():
            variables.setenv(name, value)
        yield


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shop(desk: Desk) -> AsyncIterator[Desk]:
    """The console, with a day of a shop in it, and a scheduler that runs jobs.

    What was started can be undone for minutes: hands need longer than people's ten seconds where a machine is slow.
    """
    await tell(desk.rig, queues=False)
    for statement in (DOWN, NOTED):
        await desk.rig.api.execute(statement)
    host = BackgroundTask("run jobs", JobHost(desk.rig.api.backend).run_for_ever)
    with pytest.MonkeyPatch.context() as console:
        for pages in (dead_letter, editing, jobs):
            console.setattr(pages, "UNDO", LONGEST_DELAY)
        yield desk
    await host.end()


@asynccontextmanager
async def things_of(shop: Desk) -> AsyncIterator[Things]:
    """What one walk acts on."""
    api, group = shop.rig.api, uuid4().hex[:12]
    key = await api.key(name="jane")
    ledger = LedgerRig(api.backend.ledger.database)
    failed = attempt_of(first_seen=datetime.now(UTC), **MAIL)
    await ledger.put(failed, State.FAILED)
    dead_letters = [
        await store_dead_letter(api, group, "default", message="mailbox full, try again later")
        for _ in range(8)
    ]
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    scheduled, _ = [  # RabbitMQ is not there: the other one goes to the outbox
        await api.ask(
            "POST",
            "/v1/notifications",
            key,
            json={**MAIL, "channel": "email", "recipient": "ada@example.com", **more},
        )
        for more in ({"scheduled_at": tomorrow}, {})
    ]
    discarded = str(await store_dead_letter(api, f"{group}0", "default"))
    job = await api.ask(
        "POST",
        "/v1/jobs",
        key,
        json={"kind": "discard", "ids": [discarded], "note": "a load test's"},
    )
    await api.ask("POST", f"/v1/jobs/{job.data['id']}/start", key)
    request = CreateScheduleRequest(
        f"weekly-report-{group[:4]}",
        {"channel": "email", "subject": "Report", "body": "All is well."},
        ["ada@example.com", "bob@example.com"],
        "30 9 * * MON-FRI",
        "Europe/Berlin",
    )
    schedule = await schedules.create(api.backend, Actor("cli", "tester@desk"), request)
    await api.execute(UNSEALED, f"providers {group[:4]}")
    await shop.rig.person(name=f"bob {group}")
    [session] = await api.fetch(
        "SELECT id FROM console_sessions WHERE name LIKE $1", f"bob {group}%"
    )
    async with paging() as pager:
        yield Things(
            key,
            group,
            tuple(map(str, dead_letters)),
            scheduled.data["id"],
            str(failed.id),
            str(schedule.schedule.id),
            pager.url,
            job.data["id"],
            str(session["id"]),
        )


@asynccontextmanager
async def walking(
    shop: Desk, hands: type[Mouse] | type[Keyboard], looks: Looks | None = None, **how: Any
) -> AsyncIterator[Walk]:
    """Somebody who has signed in, and signs out at the end."""
    how.setdefault("viewport", {"width": 1280, "height": 800})
    context = await shop.browser.new_context(base_url=shop.rig.origin, **how)
    context.set_default_timeout(PATIENCE)
    page = await context.new_page()
    try:
        async with things_of(shop) as things:
            walk = Walk(page, hands(page), things, how.get("java_script_enabled", True), looks)
            await walk.go("/sign-in")
            await walk.look("sign-in")
            await walk.write("API key", things.key)
            await walk.press("Sign in")
            yield walk
            await walk.hands.press(page.locator(".user-menu > summary"))
            async with walk.leaving():
                await walk.hands.press(page.get_by_role("button", name="Sign out"))
            await walk.says("You are signed out")
        assert walk.faults == []
    finally:
        await context.close()


def left_out(walk: Walk) -> set[str]:
    """Pages that were not seen, and buttons that were not pressed."""
    pages = {
        f"{page.method} {page.path}"
        for page in set(PAGES) - walk.served
        if page.path not in OF_SCRIPTS
    }
    return pages | {f"{path} {button}".strip() for path, button in walk.offered - walk.pressed}


async def test_without_scripts_every_page_can_be_seen_and_every_button_pressed(shop: Desk) -> None:
    narrow = {"width": 360, "height": 740}
    async with walking(shop, Mouse, java_script_enabled=False, viewport=narrow) as walk:
        for step in STEPS:
            await step(walk)
    assert left_out(walk) == set()


class Eyes:
    """Looks at pages in two lights and three widths, and keeps what is wrong with them."""

    def __init__(self) -> None:
        self.wrong: list[str] = []

    async def __call__(self, page: Page, name: str) -> None:
        """Look at one; the window and the light are then as before."""
        for scheme, width in SCREENS:
            if width == WIDEST and name not in ON_4K and not os.environ.get("PICTURES"):
                continue
            await page.set_viewport_size({"width": width, "height": 800})
            await page.emulate_media(color_scheme=scheme)
            if await overflows(page):
                self.wrong.append(f"{name} scrolls sideways at {width}")
            self.wrong += [f"{name} at {width}: {text!r}" for text in await squeezed(page)]
            if width < WIDEST:
                rules = () if scheme == "light" else OF_LOOKS
                found = await violations(page, *rules)
                self.wrong += [f"{name} {scheme}: {each}" for each in found]
            await picture(page, f"{name}-{scheme}-{width}")
        await page.set_viewport_size({"width": 1280, "height": 800})


async def test_by_mouse_and_each_page_fits_any_window_and_can_be_read_by_anybody(
    shop: Desk,
) -> None:
    eyes = Eyes()
    async with walking(shop, Mouse, eyes) as walk:
        for step in STEPS:
            await step(walk)
    assert eyes.wrong == []
    assert left_out(walk) == set()


async def test_by_keyboard_alone_and_one_always_sees_where_one_is(shop: Desk) -> None:
    async with walking(shop, Keyboard) as walk:
        for step in STEPS:
            await step(walk)
        assert isinstance(walk.hands, Keyboard)
        assert walk.hands.unseen == []
        assert walk.keys - walk.hands.keys == set()
        await walk.go("/failures")
        await walk.page.keyboard.press("?")
        help_ = " ".join((await walk.page.locator("#help[open]").inner_text()).split())
        for line in (
            "j Next row",
            "/ Filter",
            "r Replay the group of the row",
            "g o Go to Overview",
        ):
            assert line in help_
        assert "x Tick the row" not in help_  # there is nothing to tick
        await walk.page.keyboard.press("Escape")
        await walk.page.locator("#help").wait_for(state="hidden")
    assert left_out(walk) == set()


async def test_what_is_empty_refused_or_unavailable_can_be_read_by_anybody(
    shop: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    eyes, lists = Eyes(), ("notifications", "failures", "jobs", "schedules", "outbox", "alerts")
    viewer = await shop.rig.api.key("read", tenant="nobody")
    async with shop.sitting(key=viewer) as page:
        for name in lists:
            await page.goto(f"/console/{name}")
            await eyes(page, f"{name}-empty")
        await page.goto("/console/keys")
        await eyes(page, "error-403")
    async with Relay(os.environ["TIDINGS_DATABASE_URL"]) as relay:
        monkeypatch.setenv("TIDINGS_DATABASE_URL", relay.url)
        async with (
            console_serving(Settings().check()) as rig,
            Desk(shop.browser, rig).sitting(key=await rig.api.key()) as page,
        ):
            relay.refuse()
            await page.goto("/console/")
            await page.locator("text=The statistics are in PostgreSQL").wait_for()
            await eyes(page, "overview-without-postgresql")
            await page.goto("/console/failures")
            await page.locator("text=PostgreSQL is unavailable").wait_for()
            await eyes(page, "error-503")
    assert eyes.wrong == []
