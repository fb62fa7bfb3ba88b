"""A walk over every page and every action of the console, in steps; by mouse, by keyboard, with scripts or without."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from playwright.async_api import Locator, Page, Response, expect
from tests.browser.console.hands import Hands
from tests.support.console_forms import matches

from tidings.console.page import ROOT, ConsolePage
from tidings.console.pages import pages

PAGES: Final = tuple(pages())
OF_SCRIPTS: Final = {"/failures/dead-letters/{id}/check", "/health/checks"}
"""What a script asks for by itself."""

OFFERED: Final = """
() => [
  [...document.querySelectorAll('button')].filter((it) => it.type === 'submit' && it.form && !it.hidden)
    .filter((it) => (it.getAttribute('formmethod') ?? it.form.method) === 'post')
    .map((it) => [it.getAttribute('formaction') ?? it.form.getAttribute('action'), it.name ? `${it.name}=${it.value}` : '']),
  [...document.querySelectorAll('main [data-key]')].filter((it) => it.checkVisibility()).map((it) => it.dataset.key),
]
"""
"""The buttons of a page that send something, and the keys that press something."""

Looks = Callable[[Page, str], Awaitable[None]]
Press = tuple[str, str]
"""A form's address, and the name and value of its button."""


def served_by(method: str, path: str) -> ConsolePage | None:
    """The page that serves a path below the root, as the router finds it."""
    return next((page for page in PAGES if page.method == method and matches(page, path)), None)


@dataclass(frozen=True)
class Things:
    """What one walk acts on."""

    key: str
    """An API key that may do everything."""
    group: str
    """Fingerprint of eight open dead letters."""
    dead_letters: tuple[str, ...]
    """Their ids, newest first."""
    scheduled: str
    """A notification that is due tomorrow."""
    failed: str
    schedule: str
    receiver: str
    """URL of what takes alerts."""
    job: str
    """One that discards a dead letter, and has finished."""
    session: str
    """Of somebody else who is signed in."""


@dataclass
class Walk:
    """One walk, and what was seen and done on it."""

    page: Page
    hands: Hands
    things: Things
    scripts: bool = True
    looks: Looks | None = None
    """Looks at the page that is shown, under a name of its own."""
    served: set[ConsolePage] = field(default_factory=set)
    """Pages and actions that answered."""
    offered: set[Press] = field(default_factory=set)
    """Buttons that were seen."""
    pressed: set[Press] = field(default_factory=set)
    """Buttons that were pressed."""
    keys: set[str] = field(default_factory=set)
    """Keys that the help of some page has."""
    faults: list[str] = field(default_factory=list)
    """Errors of scripts, and pages that failed."""

    def __post_init__(self) -> None:
        self.page.on("response", self._note)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))

    def _note(self, response: Response) -> None:
        method, path = response.request.method, urlsplit(response.url).path.removeprefix(ROOT)
        if response.status >= 500:
            self.faults.append(f"{method} {path}: {response.status}")
        if method == "POST":
            sent = parse_qsl(response.request.post_data or "", keep_blank_values=True)
            self.pressed |= {(_pattern(path), f"{name}={value}") for name, value in sent}
            self.pressed.add((_pattern(path), ""))
        if (page := served_by(method, path)) is not None and response.status < 400:
            self.served.add(page)

    async def go(self, path: str) -> None:
        """Type an address."""
        await self.page.goto(f"{ROOT}{path}")
        await self._read()

    async def _read(self) -> None:
        buttons, keys = await self.page.evaluate(OFFERED)
        self.offered |= {(_pattern(path.removeprefix(ROOT)), given) for path, given in buttons}
        self.keys |= set(keys)

    async def look(self, name: str) -> None:
        """Look at the page that is shown."""
        if self.looks is not None:
            await self.looks(self.page, name)

    @asynccontextmanager
    async def leaving(self) -> AsyncIterator[None]:
        """Do something that leads to another page, and see that."""
        async with self.page.expect_navigation(wait_until="domcontentloaded"):
            yield
        await self._read()

    def button(self, label: str) -> Locator:
        """The first button with a label, which is a link where it only leads somewhere."""
        name = re.compile(rf"^{re.escape(label)}$")
        return (
            self.main.get_by_role("button", name=name)
            .or_(self.main.get_by_role("link", name=name))
            .first
        )

    @property
    def main(self) -> Locator:
        """The page without its frame."""
        return self.page.locator("main")

    async def press(self, target: str | Locator) -> None:
        """Press what leads to another page."""
        async with self.leaving():
            await self.hands.press(self.button(target) if isinstance(target, str) else target)

    async def open(self, summary: str) -> None:
        """Open what is folded."""
        await self.hands.press(
            self.main.locator("summary").filter(has_text=re.compile(rf"^{summary}$"))
        )

    async def write(self, label: str, text: str) -> None:
        """Write into the first field with a label."""
        labelled = self.main.get_by_label(label, exact=True)
        await self.hands.write(labelled.and_(self.page.locator("input, textarea")).first, text)

    async def noted(self, label: str, reason: str, place: Locator | None = None) -> None:
        """Press a button that asks for a reason first.

        Args:
            label: Its own.
            reason: Given.
            place: A part of the page, if others have such a button.
        """
        place = place or self.main
        asks = place.locator("details.asks").filter(has_text=f"{label}…").first
        if await asks.count():
            await self.hands.press(asks.locator("summary"))
        form = place.locator("form.noted").filter(has_text=label).first
        if self.scripts and await asks.count():
            await expect(form.locator("input[name=note]")).to_be_focused()
        await self.hands.write(form.locator("input[name=note]"), reason)
        await self.press(form.locator("button"))

    async def filter(self, text: str) -> None:
        """Write into the field that filters or finds, and send it."""
        await self.hands.write(self.main.locator("[data-filter]"), text)
        await self.press(self.main.locator("[role=search] button"))

    async def section(self, label: str) -> None:
        """Go to a section."""
        async with self.leaving():
            await self.hands.section(label)

    async def download(self, target: Locator) -> str:
        """Press what is saved as a file; its name."""
        async with self.page.expect_download() as saved:
            await self.hands.press(target)
        file = await saved.value
        page = served_by("GET", urlsplit(file.url).path.removeprefix(ROOT))
        self.served |= {page} if page else set()
        return file.suggested_filename

    async def says(self, text: str) -> None:
        """Wait until the page says something."""
        await self.main.get_by_text(text).first.wait_for()


def _pattern(path: str) -> str:
    page = served_by("POST", path)
    return page.path if page else path


Step = Callable[[Walk], Awaitable[None]]


async def overview(walk: Walk) -> None:
    await walk.go("/")
    await walk.says("attention")
    await walk.look("overview")
    await walk.press("24h")
    assert "range=24h" in walk.page.url
    for theme in ("Dark", "Light", "System"):
        await walk.hands.press(walk.page.locator(".user-menu > summary"))
        async with walk.leaving():
            await walk.hands.press(walk.page.get_by_role("button", name=theme))
        chosen = await walk.page.locator("html").get_attribute("data-theme")
        assert chosen == {"System": None}.get(theme, theme.lower())


async def notifications(walk: Walk) -> None:
    await walk.section("Notifications")
    await walk.look("notifications")
    await walk.filter("state:failed")
    await walk.press("Remove the filter state: failed")
    await walk.open("Export")
    await walk.look("notifications-export")
    assert (
        await walk.download(walk.main.get_by_role("link", name="CSV, people masked"))
        == "notifications.csv"
    )
    assert await walk.download(walk.button("CSV with recipients")) == "notifications.csv"
    await walk.press("Older")
    await walk.press("Newest")
    await walk.go(f"/notifications/beginning?id={walk.things.failed[:8]}")
    await walk.hands.open_row(walk.main.locator("[data-row]").first)


async def one_notification(walk: Walk) -> None:
    await walk.go(f"/notifications/{walk.things.failed}")
    await walk.look("notification")
    await walk.press("Reveal people and content")
    await walk.look("notification-revealed")
    words = await walk.page.frame_locator("iframe.mail").locator("body").inner_text()
    assert "follow it [https://shop.example/10042]" in words
    assert "steal" not in words
    await walk.press("Mask again")
    await walk.open("Send again")
    await walk.look("notification-send-again")
    await walk.write("Another recipient optional", "bob@example.com")
    await walk.press("Send it again")
    await walk.go(f"/notifications/{walk.things.failed}")
    await walk.press("All that this person got")
    await walk.look("person")


async def a_scheduled_notification(walk: Walk) -> None:
    await walk.go(f"/notifications/{walk.things.scheduled}")
    await walk.open("Reschedule")
    await walk.write("Due", "2h")
    await walk.press(walk.main.locator("form[action$='/reschedule'] button.primary"))
    await walk.open("Cancel")
    await walk.look("notification-cancel")
    await walk.write("Reason", "wrong customer")
    await walk.press("Cancel the notification")
    await walk.says("Cancelled; it was scheduled.")


async def failures(walk: Walk) -> None:
    await walk.section("Failures")
    await walk.look("failures")
    await walk.filter("channel:email")
    await walk.press(walk.main.locator("[data-row]").first.get_by_role("button"))
    await walk.press("Leave them as they are")
    await walk.go("/failures?channel=email")
    await walk.press("Replay all…")
    await walk.look("job-confirm")
    await walk.press("Leave them as they are")
    await walk.go("/failures")
    await walk.write("Reason to discard", "made by a load test")
    await walk.press("Discard all…")
    await walk.press("Leave them as they are")


async def a_group(walk: Walk) -> None:
    path = f"/failures/{walk.things.group}"
    await walk.go(path)
    await walk.look("group")
    await walk.write("Note", "their list is cleaned on Mondays")
    await walk.press("Keep the note")
    await walk.press("Remove it")
    await walk.write("Owner", "jane")
    await walk.press("Set the owner")
    await walk.press("Nobody")
    await walk.filter("reason:rejected")
    rows = walk.main.locator("[data-row]")
    for place in (0, 1):
        await walk.hands.tick_row(rows.nth(place))
    await walk.look("group-ticked")
    await walk.press("Replay…")
    await walk.says("Replay 2 dead letters?")
    await walk.write("Rate optional", "50/s")
    await walk.press("Replay 2")
    await walk.look("job-undo")
    await walk.press("Undo")
    await walk.says("nothing was done")


async def a_bulk_job(walk: Walk) -> None:
    await walk.go(f"/failures/{walk.things.group}")
    await walk.hands.tick(walk.main.get_by_label("open ones"))
    await walk.write("Reason to discard", "test data")
    await walk.press("Discard…")
    await walk.press(walk.main.locator("#start button.primary"))
    await walk.press("Pause")
    await walk.press("Resume")
    await walk.write("Why it is cancelled", "wrong group")
    await walk.press("Cancel the rest")
    await walk.look("job")
    await walk.press("Jobs")
    await walk.look("jobs")
    await walk.go(f"/jobs/{walk.things.job}")
    await walk.look("job-finished")
    assert (await walk.download(walk.main.get_by_role("link", name="CSV"))).endswith(".csv")


async def one_dead_letter(walk: Walk) -> None:
    first, second, third, *_ = walk.things.dead_letters
    await walk.go(f"/failures/dead-letters/{first}")
    await walk.look("dead-letter")
    await walk.write("Note", "she called")
    await walk.press("Keep the note")
    await walk.press("Remove it")
    await walk.press("Reveal people and content")
    await walk.look("dead-letter-revealed")
    await walk.press("Replay")
    await walk.look("job-running")
    await walk.go(f"/failures/dead-letters/{second}")
    await walk.write("Reason to discard it", "test data")
    await walk.press("Discard")
    await walk.look("dead-letter-discarded")
    await walk.go(f"/failures/dead-letters/{third}")
    await walk.press("Edit…")
    await walk.look("edit")


async def an_edit(walk: Walk) -> None:
    *_, kept, sent = walk.things.dead_letters
    for dead_letter, do in ((kept, "Store without sending"), (sent, "Store and send")):
        await walk.go(f"/failures/dead-letters/{dead_letter}/edit")
        await walk.write("recipient", "ada@example.org")
        await walk.press("Check")
        await walk.look("edit-checked")
        await walk.write("Reason", "she moved")
        await walk.press(do)


async def many_edited(walk: Walk) -> None:
    await walk.go(f"/failures/{walk.things.group}")
    await walk.hands.tick(walk.main.get_by_label("open ones"))
    await walk.open("Edit a field…")
    await walk.look("group-edit-a-field")
    await walk.write("Field to be edited", "locale")
    await walk.write("Its new value", "de")
    await walk.hands.tick(walk.main.get_by_label("then replay"))
    await walk.write("Reason to edit", "they read German")
    await walk.press("Edit…")
    await walk.look("edit-many")
    await walk.press("Reveal people and content")
    await walk.press(walk.main.locator("#start button.primary"))
    await walk.press("Undo")


async def the_jobs(walk: Walk) -> None:
    await walk.section("Jobs")
    await walk.filter("state:cancelled")


async def the_schedules(walk: Walk) -> None:
    await walk.section("Schedules")
    await walk.look("schedules")
    await walk.noted("Pause dispatching", "INC-812")
    await walk.noted("Resume dispatching", "it is over")
    await walk.go(f"/schedules/{walk.things.schedule}")
    await walk.look("schedule")
    await walk.noted("Pause", "holidays")
    await walk.noted("Resume", "they are over")
    await walk.press(walk.main.get_by_role("button", name=re.compile("^Send to")))
    await walk.press("Reveal")
    await walk.look("schedule-revealed")


async def the_channels(walk: Walk) -> None:
    await walk.section("Channels")
    await walk.look("channels")
    await walk.noted("Pause email", "INC-812")
    await walk.noted("Resume email", "it is over")
    await walk.noted("Disable primary", "they are slow", walk.main.locator("#channel-email"))
    await walk.noted("Enable primary", "they are back", walk.main.locator("#channel-sms"))
    await walk.look("channels-history")


async def the_outbox(walk: Walk) -> None:
    await walk.section("Outbox")
    await walk.look("outbox")
    await walk.filter("status:pending")
    for decision in ("Mark as failed…", "Mark as pending…", "Publish now…"):
        await walk.section("Outbox")
        await walk.hands.tick_row(walk.main.locator("[data-row]").first)
        await walk.write("Reason", "INC-812")
        await walk.press(decision)
        await walk.press("Leave them as they are")


async def the_templates(walk: Walk) -> None:
    await walk.section("Templates")
    await walk.look("templates")
    await walk.hands.open_row(walk.main.locator("[data-row]").first)
    await walk.page.wait_for_url("**/templates/preview*")
    await walk.look("template")
    await walk.press(walk.main.get_by_role("button", name="Preview", exact=True))
    await walk.press("Templates")


async def the_alerts(walk: Walk) -> None:
    await walk.section("Alerts")
    await walk.look("alerts")
    await walk.press("Seal them anew")
    await walk.says("1 URL sealed anew")
    await walk.press("New rule")
    await walk.look("alert-new")
    await walk.write("Name", "one-time passwords")
    await walk.write("URL optional", walk.things.receiver)
    await walk.press("Create the rule")
    await walk.press("Send a test now")
    await walk.says("The test was sent")
    await walk.look("alert")
    await walk.press("Edit")
    await walk.write("How many", "20")
    await walk.press("Save")
    await walk.press("Disable")
    await walk.press("Enable")
    await walk.press("Alerts")
    await walk.hands.open_row(walk.main.locator("[data-row]", has_text="one-time passwords"))
    await walk.says("What it sent")
    await walk.open("Delete…")
    await walk.press("Delete it with its history")


async def the_people(walk: Walk) -> None:
    await walk.section("People")
    await walk.look("people")
    await walk.filter("ada@example.com")
    await walk.says("The last 30 days")


async def what_admins_look_at(walk: Walk) -> None:
    await walk.section("Audit")
    await walk.look("audit")
    await walk.section("Settings")
    await walk.filter("timeout")
    await walk.look("settings")
    await walk.section("Health")
    if walk.looks is not None:
        await walk.main.locator("#checks table").wait_for()
    await walk.look("health")


async def the_keys(walk: Walk) -> None:
    await walk.section("Keys")
    await walk.look("keys")
    await walk.write("Name of its holder optional", "shop prod")
    await walk.write("Tenant", "shop")
    await walk.hands.tick(walk.main.locator("[name=scope][value=send]"))
    await walk.press("Create")
    await walk.look("keys-made")
    prefix = await walk.main.locator(".secret .mono").inner_text()
    await walk.noted("Revoke", "a test", walk.main.locator(f"#key-{prefix}"))
    await walk.says(f"{prefix} is revoked")


async def the_sessions(walk: Walk) -> None:
    await walk.hands.press(walk.page.locator(".user-menu > summary"))
    async with walk.leaving():
        await walk.hands.press(walk.page.locator(".user-menu").get_by_role("link", name="Sessions"))
    await walk.look("sessions")
    await walk.press(walk.main.locator(f"#session-{walk.things.session} button"))


async def what_is_not_there(walk: Walk) -> None:
    await walk.go("/nothing")
    await walk.look("error-404")
    await walk.press("To the overview")


STEPS: Final[tuple[Step, ...]] = (
    overview,
    notifications,
    one_notification,
    a_scheduled_notification,
    failures,
    a_group,
    a_bulk_job,
    one_dead_letter,
    an_edit,
    many_edited,
    the_jobs,
    the_schedules,
    the_channels,
    the_outbox,
    the_templates,
    the_alerts,
    the_people,
    what_admins_look_at,
    the_keys,
    the_sessions,
    what_is_not_there,
)
"""Every page has a step, and every button: `Walk.served` and `Walk.pressed` tell which have none."""
