"""The table of Twilio's error codes."""

import re

import pytest

from tidings.channels import twilio_codes
from tidings.channels.twilio_codes import CODES, meaning
from tidings.delivery.errors import (
    DeliveryError,
    Misconfigured,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Unavailable,
)

OURS = {Rejected, Unavailable, Throttled, OutcomeUnknown, Misconfigured}


@pytest.mark.parametrize("code", CODES)
def test_every_code_becomes_one_of_our_errors(code: int) -> None:
    assert CODES[code].error in OURS
    assert issubclass(CODES[code].error, DeliveryError)


@pytest.mark.parametrize("code", CODES)
def test_every_code_is_told_in_a_sentence_of_our_own(code: int) -> None:
    said = CODES[code].said

    assert re.fullmatch(r"[a-zA-Z][^%{}]{10,90}[^.]", said)


def test_no_code_is_in_two_groups() -> None:
    groups = [
        twilio_codes._ACCOUNT,
        twilio_codes._SENDER,
        twilio_codes._REJECTED,
        twilio_codes._UNAVAILABLE,
        twilio_codes._THROTTLED,
        twilio_codes._UNKNOWN,
    ]

    assert sum(map(len, groups)) == len(CODES)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (20003, Misconfigured),
        (20429, Throttled),
        (20500, OutcomeUnknown),
        (20503, Unavailable),
        (21211, Rejected),
        (21408, Rejected),
        (21603, Misconfigured),
        (21610, Rejected),
        (21611, Throttled),
        (21614, Rejected),
        (63007, Misconfigured),
        (63016, Rejected),
        (63018, Throttled),
        (63038, Throttled),
    ],
)
def test_the_codes_met_most_mean_what_twilio_documents(
    code: int, error: type[DeliveryError]
) -> None:
    known = meaning(code, sender="+14155550100", own=False)

    assert known is not None
    assert known.error is error


@pytest.mark.parametrize("code", twilio_codes._SENDER)
def test_a_wrong_sender_is_the_fault_of_the_notification_that_names_it(code: int) -> None:
    ours = meaning(code, sender="+14155550100", own=False)
    theirs = meaning(code, sender="+14155550100", own=True)

    assert ours is not None
    assert ours.error is Misconfigured
    assert theirs is not None
    assert theirs.error is Rejected


@pytest.mark.parametrize("sender", ["12345", "Acme", ""])
@pytest.mark.parametrize("code", [21606, 21659])
def test_a_short_code_abroad_does_not_rest_the_whole_channel(code: int, sender: str) -> None:
    known = meaning(code, sender=sender, own=False)

    assert known is not None
    assert known.error is Rejected


@pytest.mark.parametrize("code", [21606, 21659])
@pytest.mark.parametrize("sender", ["+14155550100", "whatsapp:+14155550100"])
def test_a_number_that_is_not_ours_rests_the_channel(code: int, sender: str) -> None:
    known = meaning(code, sender=sender, own=False)

    assert known is not None
    assert known.error is Misconfigured


def test_wrong_credentials_stay_our_fault_whoever_named_the_sender() -> None:
    known = meaning(20003, sender="Acme", own=True)

    assert known is not None
    assert known.error is Misconfigured


def test_an_unheard_of_code_has_no_meaning() -> None:
    assert meaning(99999, sender="", own=False) is None
