"""Failures that differ only in details share a fingerprint."""

import pytest

from tidings.delivery.fingerprint import LENGTH, fingerprint, normalised
from tidings.delivery.outcome import Failure, Reason


def of(message: str, code: str = "550", channel: str = "email") -> str:
    return fingerprint(channel, Reason.REJECTED, Failure("rejected", message, "smtp", code))


@pytest.mark.parametrize(
    ("first", "other"),
    [
        ("user 4711 unknown", "user 12 unknown"),
        ("<a@example.com>: unknown", "<b.c@example.org>: unknown"),
        ("no route to https://a.example/x?y=1", "no route to http://b.example"),
        (
            "message 0192f0c1-7b1a-7c3e-9d55-3f6f1a2b4c5d refused",
            "message 11111111-2222-3333-4444-555555555555 refused",
        ),
        ("queued as 4F2A9C01B7", "queued as 00AB12CD99"),
        ("unknown field 'subjekt'", "unknown field 'reciepient'"),
        ("Mailbox   full", "mailbox full"),
    ],
)
def test_details_don_t_tell_failures_apart(first: str, other: str) -> None:
    assert of(first) == of(other)


@pytest.mark.parametrize(
    ("first", "other"),
    [
        (of("mailbox full"), of("no such mailbox")),
        (of("x", "550"), of("x", "552")),
        (of("x", channel="email"), of("x", channel="sms")),
    ],
)
def test_faults_do(first: str, other: str) -> None:
    assert first != other


def test_a_fingerprint_is_short_and_names_nobody() -> None:
    assert len(of("ada@example.com")) == LENGTH
    assert "ada" not in normalised("ada@example.com was refused")


def test_a_hostile_message_is_normalised_in_no_time() -> None:
    assert normalised("'" * 1_000 + "@" * 1_000 + "a1" * 500)
