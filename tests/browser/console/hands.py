"""How people use a page: with a mouse, or by the keyboard alone."""

from typing import Final, Protocol

from playwright.async_api import Locator, Page, expect

MOST_TABS: Final = 120
"""Presses of Tab after which something can't be reached."""
ROUNDS: Final = 5
"""How often the presses are counted anew: a page that follows what happens may get more rows meanwhile."""
STEPS: Final = """
(target) => {
  const active = document.activeElement;
  const follows = (a, b) => a.compareDocumentPosition(b) & Node.DOCUMENT_POSITION_FOLLOWING;
  const places = [...document.querySelectorAll('a[href], button, input, select, textarea, summary, iframe, [tabindex]')].filter((it) =>
    it.tabIndex >= 0 && !it.disabled && it.type !== 'hidden' && it.checkVisibility()
    && (it.type !== 'radio' || it.checked || it === target));
  if (active === target) return 0;
  if (active === document.body) {
    const place = places.indexOf(target);
    return place < places.length / 2 ? place + 1 : place - places.length;
  }
  if (follows(active, target)) return places.filter((it) => follows(active, it) && (it === target || follows(it, target))).length;
  return -places.filter((it) => follows(it, active) && (it === target || follows(target, it))).length;
}
"""
"""How often Tab has to be pressed until something has the focus; below zero: Shift and Tab, from the top of a page to its end."""
PRESSED_BY: Final = """
(target) => {
  const key = 'filter' in target.dataset ? '/' : target.dataset.key;
  if (key === '/') return document.activeElement.matches('input:not([type=checkbox]), textarea, select') ? '' : key;
  const typing = document.activeElement.matches('input:not([type=checkbox]), textarea, select');
  const row = target.closest('[data-row]');
  const others = [...document.querySelectorAll('[data-key]')].filter((it) => it.dataset.key === key && it.checkVisibility());
  const first = others.find((it) => it.closest('[data-row].current')) ?? others.find((it) => !it.closest('[data-row]'));
  return key && !typing && first === target && (!row || row.classList.contains('current')) ? key : '';
}
"""
"""The key that presses something, as the help of its page says it; empty if none does."""
SEEN: Final = """
(target) => {
  const style = getComputedStyle(target);
  const ringed = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
  const box = target.getClientRects()[0];
  const top = box && document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
  return ringed && !!top && (target.contains(top) || top.contains(target));
}
"""
"""Whether one sees that something has the focus: it has a ring, and nothing lies over it."""


class Hands(Protocol):
    """What uses a page."""

    async def press(self, target: Locator) -> None:
        """A button, a link or a summary."""
        ...

    async def tick(self, target: Locator) -> None:
        """A checkbox or a radio button."""
        ...

    async def write(self, target: Locator, text: str) -> None:
        """Into a field, in place of what is in it."""
        ...

    async def choose(self, target: Locator, label: str) -> None:
        """One of a select's options."""
        ...

    async def tick_row(self, row: Locator) -> None:
        """Tick the checkbox of a row."""
        ...

    async def open_row(self, row: Locator) -> None:
        """Follow the first link of a row."""
        ...

    async def section(self, label: str) -> None:
        """Go to a section of the console."""
        ...


class Mouse:
    """A mouse, and a keyboard to write with.

    Args:
        page: What it uses.
    """

    def __init__(self, page: Page) -> None:
        self._page = page

    async def press(self, target: Locator) -> None:
        """Click it."""
        await target.click()

    async def tick(self, target: Locator) -> None:
        """Click it, if it is not ticked."""
        await target.check()

    async def write(self, target: Locator, text: str) -> None:
        """Click into it and write."""
        await target.click()
        await target.fill(text)

    async def choose(self, target: Locator, label: str) -> None:
        """Choose by its label."""
        await target.select_option(label=label)

    async def tick_row(self, row: Locator) -> None:
        """Click its checkbox."""
        await row.get_by_role("checkbox").check()

    async def open_row(self, row: Locator) -> None:
        """Click its first link."""
        await row.get_by_role("link").first.click()

    async def section(self, label: str) -> None:
        """Click its link, in the menu if the window is narrow."""
        menu = self._page.locator(".nav-menu > summary")
        place = self._page.locator("body > .frame > nav")
        if await menu.is_visible():
            await menu.click()
            place = self._page.locator(".nav-menu nav")
        await place.get_by_role("link", name=label, exact=True).click()


class Keyboard:
    """A keyboard, and nothing else. Whatever it reaches must show that it has the focus.

    Args:
        page: What it uses.
    """

    def __init__(self, page: Page) -> None:
        self._page = page
        self.unseen: list[str] = []
        """What had the focus, and did not show it."""
        self.keys: set[str] = set()
        """Keys of the help that were pressed."""

    async def press(self, target: Locator) -> None:
        """By its key, or with Tab and Enter."""
        row = target.locator("xpath=ancestor::*[@data-row][1]")
        if await target.get_attribute("data-key") and await row.count():
            await self._walk_to(row)
        if key := await target.evaluate(PRESSED_BY):
            self.keys.add(key)
            await self._page.keyboard.press(key)
        else:
            await self._reach(target)
            await self._page.keyboard.press("Enter")

    async def tick(self, target: Locator) -> None:
        """With Tab and the space bar; a radio button with the arrows."""
        if await target.is_checked():
            return
        if await target.get_attribute("type") == "radio":
            await self._reach(
                target.locator("xpath=ancestor::form").locator(":checked[type=radio]")
            )
            while not await target.is_checked():
                await self._page.keyboard.press("ArrowDown")
        else:
            await self._reach(target)
            await self._page.keyboard.press("Space")

    async def write(self, target: Locator, text: str) -> None:
        """With Tab, or by its key."""
        if key := await target.evaluate(PRESSED_BY):
            self.keys.add(key)
            await self._page.keyboard.press(key)
            await expect(target).to_be_focused()
        else:
            await self._reach(target)
        await self._page.keyboard.press("Control+a")
        await self._page.keyboard.insert_text(text)

    async def choose(self, target: Locator, label: str) -> None:
        """By the first letters of its label."""
        await self._reach(target)
        await self._page.keyboard.type(label)

    async def tick_row(self, row: Locator) -> None:
        """With `j` and `x`."""
        await self._walk_to(row)
        await self._page.keyboard.press("x")
        self.keys.add("x")

    async def open_row(self, row: Locator) -> None:
        """With `j` and Enter."""
        await self._walk_to(row)
        await self._page.keyboard.press("Enter")
        self.keys.add("Enter")

    async def section(self, label: str) -> None:
        """With `g` and its letter."""
        links = self._page.locator("body > .frame > nav")
        letter = await links.get_by_role("link", name=label, exact=True).get_attribute("data-go")
        assert letter, label
        await self._page.keyboard.press("Escape")  # in a field, a letter is a letter
        await self._page.keyboard.press("g")
        await self._page.keyboard.press(letter)

    async def _walk_to(self, row: Locator) -> None:
        for _ in range(MOST_TABS):
            if await row.evaluate("(row) => row.classList.contains('current')"):
                break
            await self._page.keyboard.press("j")
        self.keys.add("j")

    async def _reach(self, target: Locator) -> None:
        for _ in range(ROUNDS):
            if not (steps := await target.evaluate(STEPS)):
                break
            assert abs(steps) <= MOST_TABS, f"{target} is {steps} presses away"
            for _ in range(abs(steps)):
                await self._page.keyboard.press("Tab" if steps > 0 else "Shift+Tab")
        else:
            raise AssertionError(f"{target} can't be reached")
        if not await target.evaluate(SEEN):
            self.unseen.append(f"{target}")
