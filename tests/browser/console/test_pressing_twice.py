"""What is pressed twice is sent once."""

import pytest
from tests.browser.console.conftest import Desk

pytestmark = pytest.mark.asyncio(loop_scope="session")

PRESSED_TWICE = """form => {
  const stopped = [];
  window.addEventListener('submit', (event) => { stopped.push(event.defaultPrevented); event.preventDefault(); });
  form.requestSubmit();
  form.requestSubmit();
  return stopped;
}"""


async def test_a_form_is_sent_once_however_often_its_button_is_pressed(desk: Desk) -> None:
    async with desk.sitting("read") as page:
        assert await page.eval_on_selector("form[action$='/theme']", PRESSED_TWICE) == [False, True]
