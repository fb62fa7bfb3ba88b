"""The table of Twilio's error codes, held against what Twilio's own list says of each."""

import csv
import re
from pathlib import Path

import pytest

from tidings.channels.twilio import codes
from tidings.channels.twilio.codes import CODES, meaning
from tidings.delivery.errors import (
    Deferred,
    DeliveryError,
    Misconfigured,
    OutcomeUnknown,
    Rejected,
    Suppression,
    Throttled,
    Unavailable,
)

OURS = {Rejected, Deferred, Unavailable, Throttled, OutcomeUnknown, Misconfigured}
DICTIONARY = Path(__file__).with_name("twilio_dictionary.csv")
"""Every code that https://www.twilio.com/docs/api/errors lists (read in 2026) where messages meet theirs,
20000 to 20599, 21600 to 21999, 30001 to 30046 and 63000 to 63199, and those of elsewhere that a message can
bring about: what it is about, whether it lasts, and whether something may have been sent. `elsewhere` is what
creating a message of text or content never gets: numbers, media, registrations, tokens."""
ERRORS = {
    ("account", "good", "no"): Misconfigured,
    ("sender", "good", "no"): Misconfigured,
    ("recipient", "good", "no"): Rejected,
    ("content", "good", "no"): Rejected,
    ("recipient", "now", "no"): Deferred,
    ("content", "now", "no"): Deferred,
    ("platform", "now", "no"): Unavailable,
    ("limit", "now", "no"): Throttled,
    ("platform", "now", "maybe"): OutcomeUnknown,
}
"""What each combination of facts is to us."""


def published() -> dict[int, tuple[str, str, str]]:
    with DICTIONARY.open(newline="") as file:
        return {
            int(row["code"]): (row["about"], row["lasts"], row["sent"])
            for row in csv.DictReader(file)
        }


def test_the_table_has_the_codes_that_a_message_can_bring_about_and_no_other() -> None:
    met = {code for code, facts in published().items() if facts[0] != "elsewhere"}

    assert CODES.keys() == met


@pytest.mark.parametrize("code", CODES)
def test_every_code_becomes_what_twilios_list_says_of_it(code: int) -> None:
    assert CODES[code].error is ERRORS[published()[code]]


def test_codes_about_senders_are_in_the_group_of_senders() -> None:
    of_senders = {code for code, facts in published().items() if facts[0] == "sender"}

    assert codes._SENDER.keys() == of_senders


@pytest.mark.parametrize("code", CODES)
def test_every_code_becomes_one_of_our_errors(code: int) -> None:
    assert CODES[code].error in OURS
    assert issubclass(CODES[code].error, DeliveryError)


@pytest.mark.parametrize("code", CODES)
def test_every_code_has_a_message_of_our_own(code: int) -> None:
    message = CODES[code].message

    assert re.fullmatch(r"[a-zA-Z][^%{}]{10,90}[^.]", message)


def test_no_code_is_in_two_groups() -> None:
    groups = [
        codes._ACCOUNT,
        codes._SENDER,
        codes._REJECTED,
        codes._DEFERRED,
        codes._UNAVAILABLE,
        codes._THROTTLED,
        codes._UNKNOWN,
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
        # Those that were wrong, or not there.
        *((code, Throttled) for code in (30454, 63119)),
        *((code, Deferred) for code in (30036, 63053)),
        (63117, Unavailable),
        *((code, OutcomeUnknown) for code in (20504, 30046, 30500)),
        *((code, Misconfigured) for code in (20012, 20426, 21663, 21668, 21715, 30037)),
        *((code, Misconfigured) for code in (63056, 63059, 63109, 63111, 63113, 63120)),
    ],
)
def test_the_codes_met_most_mean_what_twilio_documents(
    code: int, error: type[DeliveryError]
) -> None:
    known = meaning(code, sender="+14155550100", own=False)

    assert known is not None
    assert known.error is error


@pytest.mark.parametrize("code", codes._SENDER)
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


@pytest.mark.parametrize("code", [21611, 30001, 63018])
def test_a_limit_of_a_sender_that_the_notification_named_slows_no_other(code: int) -> None:
    ours = meaning(code, sender="+14155550100", own=False)
    theirs = meaning(code, sender="+14155550100", own=True)

    assert (ours and ours.error, theirs and theirs.error) == (Throttled, Deferred)


def test_an_unheard_of_code_has_no_meaning() -> None:
    assert meaning(99999, sender="", own=False) is None


def test_a_code_that_suppresses_a_recipient_refuses_the_message_for_good() -> None:
    suppressing = {code for code, known in CODES.items() if known.suppress}

    assert suppressing == codes._SUPPRESSED.keys()
    assert {CODES[code].error for code in suppressing} == {Rejected}
    assert {published()[code][0] for code in suppressing} == {"recipient"}
    assert CODES[21610].suppress is Suppression.OPTED_OUT
    assert CODES[63050].suppress is None  # marketing alone
