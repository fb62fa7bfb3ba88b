"""What the console says while PostgreSQL is away: to those who were signed in a moment ago, and nothing to others."""

import asyncio

import pytest
from tests.support.console_rig import console_serving
from tests.support.relay import Relay

from tidings.console.pages import overview, pages
from tidings.settings import Settings

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_the_overview_and_the_checks_say_that_postgresql_is_away_and_the_rest_does_too(
    console_database_url: str, console_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Relay(console_database_url) as relay:
        monkeypatch.setenv("TIDINGS_DATABASE_URL", relay.url)
        async with console_serving(Settings().check()) as console:
            person = await console.person()
            monkeypatch.setattr(overview, "SOON", 0.025)
            assert (await person.get("/")).status == 200
            relay.refuse()
            shown = await person.get("/")
            assert shown.status == 200
            assert "PostgreSQL" in shown.text
            assert "need attention" in shown.text
            assert "Everything is delivering" not in shown.text
            assert "The statistics are in PostgreSQL, which is unavailable" in shown.text
            shown = await person.get("/health/checks")
            assert shown.status == 200
            assert "Their heartbeats are in PostgreSQL" in shown.text
            shown = await person.get("/channels")
            assert (shown.status, "PostgreSQL is unavailable" in shown.text) == (503, True)
            assert "Try again in a moment" in shown.text
            shown = await person.send("/channels/email/pause")
            assert shown.status == 503
            assert "Nothing was changed" not in shown.text  # a commit's reply may have been lost
            assert "may be done, or part of it" in shown.text
            foreign = {"Origin": "https://evil.example"}
            assert (await person.send("/sign-out", headers=foreign)).status == 409
            shown = await person.send("/sign-out")
            assert (shown.status, "has forgotten your session" in shown.text) == (503, True)
            assert not [it for it in person.session.cookie_jar if it.key == "tidings_session"]
            stranger = console.stranger()
            stranger.session.cookie_jar.update_cookies({"tidings_session": "guessed"})
            assert (await stranger.get("/")).status == 503


async def test_a_postgresql_that_hangs_holds_up_no_page_and_its_recovery_needs_nobody(
    console_database_url: str, console_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Relay(console_database_url) as relay:
        monkeypatch.setenv("TIDINGS_DATABASE_URL", relay.url)
        async with console_serving(Settings().check()) as console:
            key, person, stranger = (
                await console.api.key(),
                await console.person(),
                console.stranger(),
            )
            monkeypatch.setattr(overview, "SOON", 0.025)  # what was seen just now is not shown
            await person.get("/")
            relay.stall()
            async with asyncio.timeout(console_settings.ledger.database_timeout - 1):
                front, failures, health, signed_in = await asyncio.gather(
                    *(person.get(path) for path in ("/", "/failures", "/health")),
                    stranger.sign_in(key),
                )
            assert "The statistics are in PostgreSQL, which is unavailable" in front.text
            assert "Their heartbeats are in PostgreSQL, which is unavailable" in health.text
            for shown in (failures, signed_in):
                assert (shown.status, "PostgreSQL is unavailable" in shown.text) == (503, True)
            relay.go_on()
            assert "Open dead letters" in (await person.get("/")).text
            assert "Overview" in (await stranger.sign_in(key)).text


async def test_only_pages_that_change_nothing_are_shown_without_postgresql() -> None:
    assert {page.path for page in pages() if page.in_outages} == {"/", "/health", "/health/checks"}
    assert all(page.method == "GET" for page in pages() if page.in_outages)
