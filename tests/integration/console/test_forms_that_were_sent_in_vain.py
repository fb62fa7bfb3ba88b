"""What was typed survives the end of a session and an outage: it comes back, and is sent again by a click."""

import asyncio
import re
import threading
from collections.abc import Callable
from html import unescape
from typing import Any, Final

import pytest
from tests.support.console_forms import EditForm
from tests.support.console_rig import ConsoleRig, Shown, console_serving
from tests.support.relay import Relay
from tests.support.stored_dead_letters import store_dead_letter

from tidings.console import kept_forms, sessions
from tidings.runtime.background import in_a_thread
from tidings.settings import Settings

pytestmark = pytest.mark.asyncio(loop_scope="module")

BROWSER: Final = {"Sec-Fetch-Site": "same-origin"}
"""What a browser says of a form that a page of ours sends."""
ELSEWHERE: Final[tuple[dict[str, str], ...]] = (
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "https://evil.example"},
    {},
)


def kept(shown: Shown) -> dict[str, str]:
    """The fields that a page has hidden, without the form's token."""
    found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', shown.html, re.S)
    return {name: unescape(value) for name, value in found if name != "csrf"}


async def end_sessions(console: ConsoleRig) -> None:
    """Let everybody's session end."""
    await console.api.execute("DELETE FROM console_sessions")


async def state_of(console: ConsoleRig, id_: str) -> str:
    """The state of a dead letter."""
    [row] = await console.api.fetch("SELECT state FROM dead_letters WHERE id = $1", id_)
    return str(row["state"])


async def test_an_edit_comes_back_as_it_was_typed_and_is_sent_by_another_click(
    console: ConsoleRig,
) -> None:
    id_ = str(await store_dead_letter(console.api, "5e55"))
    edit, person = f"/failures/dead-letters/{id_}/edit", await console.person()
    form = EditForm(await person.get(edit))
    typed = form.typed(field__body="Dear Ada,\n\nhello <b>", note="a typo", do="send")
    await end_sessions(console)
    for _ in range(2):  # it can wait until one has signed in
        shown = await person.send(edit, typed, headers=BROWSER)
        assert (shown.status, "Your session has ended" in shown.text) == (401, True)
        assert "Sign out" not in shown.text
        assert {"csrf": typed["csrf"], **kept(shown)} == typed

    await person.sign_in(await console.api.key())
    shown = await person.send(edit, typed, headers=BROWSER)
    form = EditForm(shown)
    assert "Your session had ended, so nothing was done" in shown.text
    assert (form.fields["field.body"], form.fields["note"]) == (typed["field.body"], "a typo")
    assert await state_of(console, id_) == "open"
    shown = await person.send(edit, form.typed(do="keep"), headers=BROWSER)
    assert "The edit was stored" in shown.text
    assert await state_of(console, id_) == "superseded"


async def test_a_note_comes_back_and_is_kept_by_another_click(console: ConsoleRig) -> None:
    await store_dead_letter(console.api, "5e56")
    person, path = await console.person(name="jane"), "/failures/5e56/note"
    await end_sessions(console)
    old, note = person.csrf, "asked the customer, <ticket 4711>"
    shown = await person.send(path, note=note, headers=BROWSER)
    assert (shown.status, kept(shown)) == (401, {"note": note})
    await person.sign_in(await console.api.key(name="jane"))
    shown = await person.send(path, note=note, csrf=old, headers=BROWSER)
    assert (shown.status, "You have signed in again" in shown.text) == (409, True)
    assert (
        f"send it as jane: To /console{path} note asked the customer, <ticket 4711>" in shown.text
    )
    assert "asked the customer" not in (await person.get("/failures/5e56")).text
    shown = await person.send(path, kept(shown), headers=BROWSER)
    assert "asked the customer, <ticket 4711>" in shown.text


@pytest.mark.parametrize("headers", ELSEWHERE)
async def test_no_other_site_puts_words_into_a_page(
    console: ConsoleRig, headers: dict[str, str]
) -> None:
    await store_dead_letter(console.api, "5e57")
    person, path = await console.person(), "/failures/5e57/note"
    shown = await person.send(path, note="Call 555-0100 now", csrf="", headers=headers)
    assert (shown.status, "555-0100" in shown.html) == (409, False)
    await end_sessions(console)
    shown = await person.send(path, note="Call 555-0100 now", headers=headers)
    assert (shown.path.partition("?")[0], "555-0100" in shown.html) == ("/console/sign-in", False)


async def test_only_a_form_of_a_page_of_ours_comes_back_to_a_stranger(console: ConsoleRig) -> None:
    path, stranger = "/failures/5e57/note", console.stranger()
    for token in ("", "00", "x" * 128, "0" * 126, "0" * 130):
        shown = await stranger.send(path, note="a note", csrf=token, headers=BROWSER)
        assert (shown.path, "a note" in shown.text) == ("/console/sign-in", False), token
    shown = await stranger.send(path, note="a note", csrf="0" * 128, headers=BROWSER)
    assert (shown.status, kept(shown)) == (401, {"note": "a note"})


async def test_a_form_that_is_too_large_to_be_kept_is_sent_again_by_its_browser(
    console: ConsoleRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_forms, "LONGEST", 64 * 1024)
    id_ = str(await store_dead_letter(console.api, "5e59"))
    edit, person = f"/failures/dead-letters/{id_}/edit", await console.person()
    form = EditForm(await person.get(edit))
    typed = form.typed(field__body="a" * 64 * 1024, note="longer", do="check")
    await end_sessions(console)
    shown = await person.send(edit, typed, headers=BROWSER)
    assert (shown.status, "Your session has ended" in shown.text) == (401, True)
    assert "it is longer than 64 KiB" in shown.text
    assert "sign in in another tab, then reload this page" in shown.text
    await person.sign_in(await console.api.key())
    shown = await person.send(edit, typed, headers=BROWSER)  # as a browser reloads the answer
    assert "Your session had ended, so nothing was done" in shown.text
    assert EditForm(shown).fields["field.body"] == typed["field.body"]


async def test_few_forms_are_given_back_at_once_and_beside_the_event_loop(
    console: ConsoleRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, go_on = asyncio.Queue[None](), asyncio.Event()
    threads = list[threading.Thread]()

    async def slowly(name: str, work: Callable[[], Any]) -> Any:
        def noted() -> Any:
            threads.append(threading.current_thread())
            return work()

        began.put_nowait(None)
        await go_on.wait()
        return await in_a_thread(name, noted)

    monkeypatch.setattr(kept_forms, "in_a_thread", slowly)
    stranger, form = console.stranger(), {"note": "a note", "csrf": "0" * 128}

    async def send() -> Shown:
        return await stranger.send("/failures/5e57/note", form, headers=BROWSER)

    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        sent = [tasks.create_task(send()) for _ in range(kept_forms.AT_ONCE)]
        for _ in sent:
            await began.get()
        too_many = await send()
        go_on.set()
    assert (too_many.status, "a note" in too_many.html) == (401, False)
    assert "too many forms are given back just now" in too_many.text
    assert [task.result().status for task in sent] == [401] * kept_forms.AT_ONCE
    assert threading.main_thread() not in threads
    assert (await send()).status == 401
    assert len(threads) == kept_forms.AT_ONCE + 1


async def test_a_form_waits_for_postgresql(
    console_database_url: str, console_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Relay(console_database_url) as relay:
        monkeypatch.setenv("TIDINGS_DATABASE_URL", relay.url)
        async with console_serving(Settings().check()) as console:
            await store_dead_letter(console.api, "5e58")
            person = await console.person()
            monkeypatch.setattr(sessions, "PATIENCE", 0.5)
            relay.stall()
            shown = await person.send("/failures/5e58/note", note="known", headers=BROWSER)
            assert (shown.status, kept(shown)) == (503, {"note": "known"})
            assert "PostgreSQL is unavailable Nothing was done." in shown.text
            relay.go_on()
            shown = await person.send("/failures/5e58/note", kept(shown), headers=BROWSER)
            assert "The note was kept" in shown.text
