"""Each reply a relay can give, at each stage, means one thing."""

import itertools

import pytest

from tidings.channels.email.connection import Refusal
from tidings.channels.email.replies import RULES, Reply, Stage, refusal
from tidings.channels.email.troubles import explain
from tidings.delivery.errors import (
    DeliveryError,
    Misconfigured,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Unavailable,
)


@pytest.mark.parametrize(
    ("stage", "code", "text", "expected"),
    [
        (Stage.CONNECT, 421, "4.3.2 Service not available", Unavailable),
        (Stage.CONNECT, 421, "4.7.0 Too many connections from your address", Throttled),
        (
            Stage.CONNECT,
            554,
            "5.7.1 Your access to this mail system has been rejected",
            Misconfigured,
        ),
        (Stage.CONNECT, 521, "relay.example does not accept mail", Misconfigured),
        (Stage.HELLO, 501, "5.5.4 Invalid domain name", Misconfigured),
        (Stage.HELLO, 421, "4.3.0 Try later", Unavailable),
        (Stage.TLS, 454, "4.7.0 TLS not available due to temporary reason", Unavailable),
        (Stage.TLS, 501, "5.5.4 No parameters allowed", Misconfigured),
        (Stage.LOGIN, 535, "5.7.8 Error: authentication failed", Misconfigured),
        (Stage.LOGIN, 534, "5.7.9 Application-specific password required", Misconfigured),
        (Stage.LOGIN, 538, "5.7.11 Encryption required", Misconfigured),
        (Stage.LOGIN, 530, "5.7.0 Must issue a STARTTLS command first", Misconfigured),
        (Stage.LOGIN, 432, "4.7.12 A password transition is needed", Misconfigured),
        (Stage.LOGIN, 454, "4.7.0 Temporary authentication failure", Unavailable),
        (Stage.LOGIN, 454, "4.7.0 Too many login attempts, please try again later", Throttled),
        (Stage.SENDER, 530, "5.7.0 Authentication required", Misconfigured),
        (Stage.SENDER, 550, "5.7.1 sender not allowed", Misconfigured),
        (Stage.SENDER, 553, "5.7.1 Sender address rejected: not owned by user", Misconfigured),
        (Stage.SENDER, 553, "5.1.8 Bad sender's system address", Misconfigured),
        (Stage.SENDER, 552, "5.3.4 Message size exceeds fixed limit", Rejected),
        (Stage.SENDER, 552, "too big", Rejected),
        (Stage.SENDER, 550, "5.6.7 SMTPUTF8 needed", Rejected),
        (Stage.SENDER, 503, "5.5.1 Error: nested MAIL command", Unavailable),
        (Stage.SENDER, 451, "4.3.0 Temporary lookup failure", Unavailable),
        (Stage.SENDER, 452, "4.3.1 Insufficient system storage", Unavailable),
        (Stage.RECIPIENT, 550, "5.1.1 User unknown", Rejected),
        (Stage.RECIPIENT, 553, "5.1.3 Bad address syntax", Rejected),
        (Stage.RECIPIENT, 552, "5.2.2 Mailbox full", Rejected),
        (Stage.RECIPIENT, 550, "5.7.1 You may not write to this list", Rejected),
        (Stage.RECIPIENT, 554, "5.7.1 Relay access denied", Misconfigured),
        (Stage.RECIPIENT, 550, "relay not permitted", Misconfigured),
        (Stage.RECIPIENT, 550, "5.7.54 SMTP; Unable to relay recipient", Misconfigured),
        (Stage.RECIPIENT, 550, "5.1.1 no such user in relay domains", Rejected),
        (Stage.RECIPIENT, 530, "5.7.0 Authentication required", Misconfigured),
        (Stage.RECIPIENT, 450, "4.7.1 Greylisting in action, please come back later", Unavailable),
        (Stage.RECIPIENT, 451, "4.7.1 Greylisted", Unavailable),
        (Stage.RECIPIENT, 450, "4.2.1 is receiving mail at a rate that prevents", Throttled),
        (Stage.RECIPIENT, 452, "4.5.3 Error: too many recipients", Unavailable),
        (Stage.RECIPIENT, 421, "4.7.28 Our system has detected an unusual rate", Throttled),
        (Stage.RECIPIENT, 451, "4.7.650 temporarily deferred", Throttled),
        (Stage.DATA, 554, "5.5.1 Error: no valid recipients", Rejected),
        (Stage.DATA, 454, "Throttling failure: Maximum sending rate exceeded.", Throttled),
        (Stage.DATA, 451, "4.3.0 queue file write error", Unavailable),
        (Stage.PAYLOAD, 552, "5.3.4 Message too big for system", Rejected),
        (Stage.PAYLOAD, 554, "5.7.1 Spam message rejected", Rejected),
        (Stage.PAYLOAD, 550, "5.7.26 DMARC", Rejected),
        (Stage.PAYLOAD, 451, "4.3.0 Try again", Unavailable),
        (Stage.PAYLOAD, 421, "4.4.2 timeout exceeded", Unavailable),
        (Stage.PAYLOAD, 454, "4.7.0 Daily message quota exceeded", Throttled),
    ],
)
def test_a_reply_means(stage: Stage, code: int, text: str, expected: type[DeliveryError]) -> None:
    assert refusal(stage, Reply(code, text)).error is expected


def test_a_refused_sender_is_the_notifications_fault_where_it_named_its_own() -> None:
    reply = Reply(553, "5.7.1 not owned by user")

    assert refusal(Stage.SENDER, reply, override=True).error is Rejected


def test_a_missing_login_is_ours_even_then() -> None:
    reply = Reply(530, "5.7.0 Authentication required")

    assert refusal(Stage.SENDER, reply, override=True).error is Misconfigured


@pytest.mark.parametrize("stage", [stage for stage in Stage if stage is not Stage.WAITING])
def test_every_code_has_a_meaning(stage: Stage) -> None:
    meanings = {
        kind: {_error(stage, kind * 100 + rest) for rest in range(100)} for kind in (2, 3, 4, 5)
    }

    assert meanings[2] == meanings[3] == {OutcomeUnknown if stage is Stage.PAYLOAD else Unavailable}
    assert meanings[4] <= {Unavailable, Throttled, Misconfigured}
    assert meanings[5] <= {Rejected, Misconfigured, Unavailable}


@pytest.mark.parametrize("stage", [Stage.CONNECT, Stage.HELLO, Stage.TLS, Stage.LOGIN])
def test_nothing_said_before_there_is_a_mail_is_a_notifications_fault(stage: Stage) -> None:
    assert {_error(stage, code) for code in range(500, 600)} == {Misconfigured}


def _error(stage: Stage, code: int) -> type[DeliveryError]:
    return refusal(stage, Reply(code, "")).error


@pytest.mark.parametrize("code", [400, 421, 450, 452, 500, 550, 552, 554])
def test_a_verdict_on_the_whole_mail_never_leaves_its_outcome_open(code: int) -> None:
    assert refusal(Stage.PAYLOAD, Reply(code, "")).error is not OutcomeUnknown


def test_every_line_of_the_table_is_reached_by_some_reply() -> None:
    texts = ("", "5.3.4", "5.6.7", "4.7.28", "slow down", "5.7.1 relay")
    reached = {
        next((rule for rule in RULES if rule.covers(stage, Reply(code, text))), None)
        for stage, code, text in itertools.product(Stage, range(400, 600), texts)
    }

    assert set(RULES) <= reached


@pytest.mark.parametrize(
    ("text", "enhanced"),
    [("5.1.1 no", "5.1.1"), ("no 5.1.1", ""), ("5.1.1.1 no", ""), ("10.0.0.1 no", ""), ("", "")],
)
def test_an_enhanced_status_code_stands_at_the_start(text: str, enhanced: str) -> None:
    assert Reply(550, text).enhanced == enhanced


def test_an_address_with_a_telling_word_in_it_changes_no_meaning() -> None:
    reply = Reply(550, "5.7.1 <relay@slow-down.example>: not here")

    found = explain(Refusal(reply), Stage.RECIPIENT, lambda _: "(address): not here")

    assert found.reading.error is Rejected
    assert found.sentence == "the relay refuses the recipient (550 5.7.1 (address): not here)"


def test_a_misconfiguration_says_which_setting_to_look_at() -> None:
    found = explain(
        Refusal(Reply(535, "5.7.8 bad password")), Stage.LOGIN, lambda text: text.strip()
    )

    assert "TIDINGS_EMAIL_PASSWORD" in found.sentence
    assert found.codes == "535 5.7.8"
