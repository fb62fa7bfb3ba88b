"""Channels are made of the settings: those that are configured, or those that were asked for."""

import pytest
from tests.doubles.inbox import SERVICES

from tidings.channels.registry import SPECS, build, labelled
from tidings.delivery.errors import ConfigurationError
from tidings.delivery.ports import Finding, Verdict
from tidings.settings import Settings
from tidings_events import CHANNELS


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in os.environ:
        if name.startswith("TIDINGS_"):
            monkeypatch.delenv(name)


@pytest.fixture
def without_inbox(monkeypatch: pytest.MonkeyPatch) -> None:
    """The inbox, which needs no provider, is switched off."""
    monkeypatch.setenv("TIDINGS_IN_APP_ENABLED", "false")


@pytest.fixture
def email(monkeypatch: pytest.MonkeyPatch) -> None:
    """Email is configured."""
    monkeypatch.setenv("TIDINGS_EMAIL_HOST", "127.0.0.1")
    monkeypatch.setenv("TIDINGS_EMAIL_SENDER", "a@example.com")


def test_every_channel_of_the_contract_has_a_package_with_a_spec() -> None:
    assert tuple(SPECS) == CHANNELS
    assert all(spec.name == name for name, spec in SPECS.items())


async def test_nothing_configured_makes_the_inbox_alone() -> None:
    assert list(build(Settings(), SERVICES)) == ["in_app"]


@pytest.mark.usefixtures("without_inbox")
async def test_everything_switched_off_makes_no_channel() -> None:
    assert build(Settings(), SERVICES) == {}


@pytest.mark.usefixtures("email")
async def test_a_configured_channel_is_made_under_its_own_name() -> None:
    made = build(Settings(), SERVICES)

    assert {name: channel.name for name, channel in made.items()} == {
        "email": "email",
        "in_app": "in_app",
    }


@pytest.mark.usefixtures("email")
async def test_only_what_was_asked_for_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDINGS_WEBHOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")

    assert list(build(Settings(), SERVICES)) == ["email", "webhook", "in_app"]
    assert list(build(Settings(), SERVICES, only=["email"])) == ["email"]


def test_an_unknown_channel_is_told_with_those_there_are() -> None:
    with pytest.raises(ConfigurationError, match=f"'pigeon'.*{', '.join(CHANNELS)}"):
        build(Settings(), SERVICES, only=["pigeon"])


@pytest.mark.usefixtures("without_inbox")
@pytest.mark.parametrize("name", SPECS)
def test_a_channel_that_is_not_configured_is_told_with_what_to_set(name: str) -> None:
    with pytest.raises(
        ConfigurationError, match=rf"channel {name} is not configured; set TIDINGS_"
    ):
        build(Settings(), SERVICES, only=[name])


def test_a_channel_half_configured_is_told_with_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TIDINGS_EMAIL_HOST", "127.0.0.1")

    with pytest.raises(ConfigurationError, match="TIDINGS_EMAIL_SENDER"):
        build(Settings(), SERVICES)


def test_what_is_found_of_a_fallback_names_its_own_variables() -> None:
    remedy = "check TIDINGS_TWILIO_AUTH_TOKEN and TIDINGS_SMS_SENDER"
    found = [Finding("Twilio", Verdict.FAULT, "refused", remedy)]

    (finding,) = labelled("ireland", "sms", found)

    assert finding.subject == "Twilio (ireland)"
    assert finding.remedy == "check TIDINGS_SMS_IRELAND_AUTH_TOKEN and TIDINGS_SMS_IRELAND_SENDER"
    assert labelled("primary", "sms", found) is found
