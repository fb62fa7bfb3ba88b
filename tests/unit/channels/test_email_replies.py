"""Each reply a relay can give, at each stage, means one thing."""

import itertools

import pytest

from tidings.channels.email.connection_limits import NegativeReply
from tidings.channels.email.failures import explain
from tidings.channels.email.replies import RelayingState, SmtpReply, Stage
from tidings.channels.email.reply_rules import RULES, refusal
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

# Before there is a mail.
OPENING = [
    (Stage.CONNECT, 421, "4.3.2 Service not available", Unavailable),
    (Stage.CONNECT, 421, "4.7.0 Too many connections from your address", Throttled),
    (Stage.CONNECT, 554, "5.7.1 Your access to this mail system has been rejected", Misconfigured),
    (Stage.CONNECT, 521, "relay.example does not accept mail", Misconfigured),
    (Stage.CONNECT, 550, "5.4.5 Daily sending quota exceeded", Throttled),
    (Stage.HELLO, 501, "5.5.4 Invalid domain name", Misconfigured),
    (Stage.HELLO, 421, "4.3.0 Try later", Unavailable),
    (Stage.TLS, 454, "4.7.0 TLS not available due to temporary reason", Unavailable),
    (Stage.TLS, 501, "5.5.4 No parameters allowed", Misconfigured),
    (Stage.LOGIN, 535, "5.7.8 Error: authentication failed", Misconfigured),
    (Stage.LOGIN, 534, "5.7.9 Application-specific password required", Misconfigured),
    (Stage.LOGIN, 538, "5.7.11 Encryption required", Misconfigured),
    (Stage.LOGIN, 530, "5.7.0 Must issue a STARTTLS command first", Misconfigured),
    (Stage.LOGIN, 432, "4.7.12 A password transition is needed", Misconfigured),
    (Stage.LOGIN, 432, "4.3.2 Concurrent connections limit exceeded", Throttled),
    (Stage.LOGIN, 454, "4.7.0 Temporary authentication failure", Unavailable),
    (Stage.LOGIN, 454, "4.7.0 Too many login attempts, please try again later", Throttled),
]
ABOUT_US = [
    (Stage.SENDER, 530, "5.7.0 Authentication required", Misconfigured),
    (Stage.SENDER, 550, "5.7.1 sender not allowed", Misconfigured),
    (Stage.SENDER, 553, "5.7.1 Sender address rejected: not owned by user", Misconfigured),
    (Stage.SENDER, 553, "5.1.8 Bad sender's system address", Misconfigured),
    (Stage.RECIPIENT, 530, "5.7.0 Authentication required", Misconfigured),
    # Postfix, with smtpd_delay_reject.
    (
        Stage.RECIPIENT,
        554,
        "5.7.1 <host[10.0.0.9]>: Client host rejected: Access denied",
        Misconfigured,
    ),
    (
        Stage.RECIPIENT,
        450,
        "4.7.25 Client host rejected: cannot find your hostname, [10.0.0.9]",
        Misconfigured,
    ),
    (
        Stage.RECIPIENT,
        554,
        "5.7.1 Service unavailable; Client host [10.0.0.9] blocked using zen.spamhaus.org",
        Misconfigured,
    ),
    (
        Stage.RECIPIENT,
        450,
        "4.7.1 Service unavailable; Client host [10.0.0.9] blocked using zen.spamhaus.org",
        Misconfigured,
    ),
    (
        Stage.RECIPIENT,
        504,
        "5.5.2 <vm>: Helo command rejected: need fully-qualified hostname",
        Misconfigured,
    ),
    (Stage.RECIPIENT, 504, "5.5.2 need fully-qualified hostname", Misconfigured),
    (Stage.RECIPIENT, 450, "4.7.1 <vm>: Helo command rejected: Host not found", Misconfigured),
    (
        Stage.RECIPIENT,
        553,
        "5.7.1 <a>: Sender address rejected: not owned by user shop",
        Misconfigured,
    ),
    (Stage.RECIPIENT, 553, "5.7.1 <a>: Sender address rejected: not logged in", Misconfigured),
    (Stage.RECIPIENT, 450, "4.1.8 <a>: Sender address rejected: Domain not found", Misconfigured),
    (
        Stage.RECIPIENT,
        504,
        "5.5.2 <a>: Sender address rejected: need fully-qualified address",
        Misconfigured,
    ),
    (Stage.RECIPIENT, 450, "4.7.1 Session encryption is required", Misconfigured),
    # Exim, Exchange Online, Amazon SES, SendGrid.
    (
        Stage.RECIPIENT,
        550,
        "rejected because 10.0.0.9 is in a black list at zen.spamhaus.org",
        Misconfigured,
    ),
    (
        Stage.RECIPIENT,
        550,
        "LedgerAudit failed for <a>\nUnrouteable address\nSender verify failed",
        Misconfigured,
    ),
    (Stage.PAYLOAD, 554, "5.2.252 SendAsDenied; a not allowed to send as b", Misconfigured),
    (
        Stage.PAYLOAD,
        554,
        "5.2.0 STOREDRV.Submission.Exception:SendAsDeniedException",
        Misconfigured,
    ),
    (
        Stage.PAYLOAD,
        550,
        "5.7.60 SMTP; Client does not have permissions to send as this sender",
        Misconfigured,
    ),
    (
        Stage.PAYLOAD,
        554,
        "5.2.2 mailbox full; STOREDRV.Submission.Exception:QuotaExceededException",
        Misconfigured,
    ),
    (
        Stage.PAYLOAD,
        554,
        "Message rejected: Email address is not verified. The following identities failed",
        Misconfigured,
    ),
    (
        Stage.PAYLOAD,
        550,
        "The from address does not match a verified Sender Identity",
        Misconfigured,
    ),
    # Until the relay has taken a recipient from us.
    (Stage.RECIPIENT, 554, "5.7.1 Relay access denied", Misconfigured),
    (Stage.RECIPIENT, 454, "4.7.1 Relay access denied", Misconfigured),
    (Stage.RECIPIENT, 550, "relay not permitted", Misconfigured),
    (Stage.RECIPIENT, 550, "5.7.1 <a>... Access denied", Misconfigured),
    (Stage.RECIPIENT, 550, "Administrative prohibition", Misconfigured),
    (Stage.RECIPIENT, 550, "5.7.54 SMTP; Unable to relay recipient", Misconfigured),
    (
        Stage.RECIPIENT,
        553,
        "sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)",
        Misconfigured,
    ),
]
OUR_RATE = [
    (Stage.SENDER, 450, "4.7.1 Error: too much mail from 10.0.0.9", Throttled),
    (Stage.SENDER, 452, "4.5.3 Too many messages sent", Throttled),  # on a fresh connection
    (Stage.SENDER, 550, "5.4.5 Daily user sending limit exceeded", Throttled),
    (Stage.RECIPIENT, 450, "4.7.1 Error: too many recipients from 10.0.0.9", Throttled),
    (Stage.RECIPIENT, 450, "4.2.1 Peak SMTP relay limit exceeded for customer", Throttled),
    (Stage.RECIPIENT, 421, "4.7.28 Our system has detected an unusual rate", Throttled),
    (Stage.RECIPIENT, 451, "4.7.650 temporarily deferred", Throttled),
    (Stage.RECIPIENT, 550, "5.4.5 Daily sending quota exceeded", Throttled),
    (Stage.RECIPIENT, 450, "4.7.1 <a>: Sender address rejected: Rate limit exceeded", Throttled),
    (
        Stage.RECIPIENT,
        554,
        "5.7.1 <a>: Recipient address rejected: Sending quota exceeded",
        Throttled,
    ),
    (
        Stage.RECIPIENT,
        550,
        "Domain example.com has exceeded the max emails per hour (500/500 (100%)) allowed",
        Throttled,
    ),
    (Stage.DATA, 454, "Throttling failure: Maximum sending rate exceeded.", Throttled),
    (Stage.PAYLOAD, 454, "4.7.0 Daily message quota exceeded", Throttled),
    (
        Stage.PAYLOAD,
        550,
        "5.2.251 Sender throttled due to continuous mailbox full errors",
        Throttled,
    ),
    (
        Stage.PAYLOAD,
        554,
        "5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException",
        Throttled,
    ),
]
THE_RELAY = [
    (Stage.SENDER, 503, "5.5.1 Error: nested MAIL command", Unavailable),
    (Stage.SENDER, 451, "4.3.0 Temporary lookup failure", Unavailable),
    (Stage.SENDER, 452, "4.3.1 Insufficient system storage", Unavailable),
    (Stage.RECIPIENT, 421, "4.3.2 Service shutting down", Unavailable),
    (Stage.RECIPIENT, 451, "4.3.0 <a>: Temporary lookup failure", Unavailable),
    (Stage.RECIPIENT, 451, "4.3.5 Server configuration error", Unavailable),
    (Stage.RECIPIENT, 452, "4.3.1 Insufficient system storage", Unavailable),
    (Stage.RECIPIENT, 450, "4.3.2 <a>: Recipient address rejected: Try again later", Unavailable),
    (
        Stage.RECIPIENT,
        451,
        "4.7.1 Service unavailable - try again later",
        Unavailable,
    ),  # a milter is gone
    (Stage.RECIPIENT, 451, "Temporary service failure", Unavailable),
    (Stage.DATA, 451, "4.3.0 queue file write error", Unavailable),
    (Stage.PAYLOAD, 451, "4.3.0 Try again", Unavailable),
    (Stage.PAYLOAD, 451, "4.7.1 Service unavailable - try again later", Unavailable),
    (Stage.PAYLOAD, 421, "4.4.2 timeout exceeded", Unavailable),
    (Stage.PAYLOAD, 451, "Error in writing spool file", Unavailable),
]
THE_NOTIFICATION = [
    (Stage.SENDER, 552, "5.3.4 Message size exceeds fixed limit", Rejected),
    (Stage.SENDER, 552, "too big", Rejected),
    (Stage.SENDER, 550, "5.6.7 SMTPUTF8 needed", Rejected),
    (Stage.RECIPIENT, 550, "5.1.1 User unknown", Rejected),
    (Stage.RECIPIENT, 553, "5.1.3 Bad address syntax", Rejected),
    (Stage.RECIPIENT, 552, "5.2.2 Mailbox full", Rejected),
    (Stage.RECIPIENT, 552, "5.2.2 <a>: mailbox quota exceeded", Rejected),
    (Stage.RECIPIENT, 550, "5.7.1 You may not write to this list", Rejected),
    (Stage.RECIPIENT, 550, "5.1.1 no such user in relay domains", Rejected),
    (
        Stage.RECIPIENT,
        504,
        "5.5.2 <a>: Recipient address rejected: need fully-qualified address",
        Rejected,
    ),
    (Stage.RECIPIENT, 550, "5.4.1 Recipient address rejected: Access denied", Rejected),
    (
        Stage.RECIPIENT,
        550,
        "5.7.1 <a>: Recipient address rejected: undeliverable address: host mx said: 550 blocked using zen",
        Rejected,
    ),
    (Stage.RECIPIENT, 450, "4.1.2 <a>: Recipient address rejected: Domain not found", Deferred),
    (
        Stage.RECIPIENT,
        450,
        "4.1.1 <a>: Recipient address rejected: unverified address: in progress",
        Deferred,
    ),
    (
        Stage.RECIPIENT,
        450,
        "4.1.1 <a>: Recipient address rejected: unverified address: host mx said: 421 4.7.0 too many "
        "connections from your network",
        Deferred,
    ),
    (
        Stage.RECIPIENT,
        550,
        "5.1.1 <a>: Recipient address rejected: undeliverable address: host mx said: 550 5.7.1 daily "
        "sending quota exceeded",
        Rejected,
    ),
    (
        Stage.RECIPIENT,
        550,
        "5.7.1 <a>: Recipient address rejected: undeliverable address: host mx said: 550 5.7.1 "
        "Relaying denied",
        Rejected,
    ),
    (Stage.RECIPIENT, 450, "4.2.0 <a>: Recipient address rejected: Greylisted", Deferred),
    (Stage.RECIPIENT, 450, "4.7.1 Greylisting in action, please come back later", Deferred),
    (Stage.RECIPIENT, 451, "4.7.1 Greylisted", Deferred),
    (
        Stage.RECIPIENT,
        450,
        "4.7.1 <host>: Client host rejected: Greylisted, see http://postgrey",
        Deferred,
    ),
    (
        Stage.RECIPIENT,
        452,
        "4.2.2 The email account that you tried to reach is over quota",
        Deferred,
    ),
    (Stage.RECIPIENT, 450, "4.2.1 is receiving mail at a rate that prevents", Deferred),
    (
        Stage.RECIPIENT,
        450,
        "4.2.1 The user you are trying to contact is receiving mail too quickly",
        Deferred,
    ),
    (Stage.RECIPIENT, 432, "4.3.2 STOREDRV.Deliver; recipient thread limit exceeded", Deferred),
    (Stage.RECIPIENT, 451, "4.3.0 The mailbox can't be written to now", Deferred),
    (Stage.RECIPIENT, 451, "4.4.3 Temporary DNS failure for the recipient's domain", Deferred),
    (Stage.RECIPIENT, 452, "4.5.3 Error: too many recipients", Deferred),
    (
        Stage.RECIPIENT,
        451,
        "Temporary local problem - please try later",
        Deferred,
    ),  # Exim, of any recipient
    (Stage.RECIPIENT, 450, "busy", Deferred),
    (Stage.DATA, 451, "4.7.1 Greylisted, try again in 5 minutes", Deferred),
    (Stage.DATA, 554, "5.5.1 Error: no valid recipients", Rejected),
    (Stage.PAYLOAD, 552, "5.3.4 Message too big for system", Rejected),
    (Stage.PAYLOAD, 554, "5.7.1 Spam message rejected", Rejected),
    (Stage.PAYLOAD, 550, "5.7.26 DMARC", Rejected),
    (Stage.PAYLOAD, 452, "4.2.2 mailbox full", Deferred),
    (Stage.PAYLOAD, 451, "4.7.1 Try again later", Deferred),  # rspamd's soft reject
]


@pytest.mark.parametrize(
    ("stage", "code", "text", "expected"),
    [*OPENING, *ABOUT_US, *OUR_RATE, *THE_RELAY, *THE_NOTIFICATION],
)
def test_a_reply_means(stage: Stage, code: int, text: str, expected: type[DeliveryError]) -> None:
    assert refusal(stage, SmtpReply(code, text)).error is expected


@pytest.mark.parametrize(
    ("stage", "code", "text", "expected"),
    [
        (Stage.SENDER, 553, "5.7.1 not owned by user", Rejected),
        (Stage.RECIPIENT, 550, "5.1.8 <a>: Sender address rejected: Domain not found", Rejected),
        (Stage.RECIPIENT, 450, "4.1.8 <a>: Sender address rejected: Domain not found", Deferred),
        (
            Stage.PAYLOAD,
            554,
            "Email address is not verified. The following identities failed",
            Rejected,
        ),
    ],
)
def test_a_refused_sender_is_the_notifications_fault_where_it_named_its_own(
    stage: Stage, code: int, text: str, expected: type[DeliveryError]
) -> None:
    assert refusal(stage, SmtpReply(code, text), override=True).error is expected


@pytest.mark.parametrize(
    ("code", "text", "expected"),
    [
        (554, "5.7.1 <a>: Relay access denied", Rejected),
        (550, "relay not permitted", Rejected),
        (454, "4.7.1 <a>: Relay access denied", Deferred),
        (550, "5.7.1 <a>... Access denied", Rejected),  # Sendmail, with delay_checks
        (550, "Administrative prohibition", Rejected),  # Exim
    ],
)
def test_relaying_denied_is_about_the_recipient_once_the_relay_took_another_from_us(
    code: int, text: str, expected: type[DeliveryError]
) -> None:
    assert refusal(Stage.RECIPIENT, SmtpReply(code, text)).error is Misconfigured
    assert (
        refusal(Stage.RECIPIENT, SmtpReply(code, text), relaying=RelayingState.CONFIRMED).error
        is expected
    )
    doubted = refusal(Stage.RECIPIENT, SmtpReply(code, text), relaying=RelayingState.DOUBTED)
    assert doubted.error is Deferred
    assert "TIDINGS_EMAIL_" in doubted.remedy


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        ("5.7.1 <vm>: Client host rejected: Access denied", "this machine's address"),
        ("5.7.1 <a>... Rejected: 10.0.0.9 listed at bl.example.net", "this machine's address"),
        ("5.7.1 <a>... Access denied", "this machine's address"),
        ("5.5.2 <vm>: Helo command rejected: need fully-qualified hostname", "TIDINGS_EMAIL_HELO"),
        ("5.7.1 <a>: Sender address rejected: not owned by user shop", "TIDINGS_EMAIL_SENDER"),
        ("5.7.1 <a>: Relay access denied", "TIDINGS_EMAIL_USERNAME"),
    ],
)
def test_a_relay_that_tells_only_at_the_recipient_that_it_refuses_us_is_answered_with_the_remedy(
    text: str, setting: str
) -> None:
    assert setting in refusal(Stage.RECIPIENT, SmtpReply(550, text)).remedy


def test_a_missing_login_is_ours_even_then() -> None:
    reply = SmtpReply(530, "5.7.0 Authentication required")

    assert refusal(Stage.SENDER, reply, override=True).error is Misconfigured


@pytest.mark.parametrize("stage", [stage for stage in Stage if stage is not Stage.WAITING])
def test_every_code_has_a_meaning(stage: Stage) -> None:
    meanings = {
        kind: {_error(stage, kind * 100 + rest) for rest in range(100)} for kind in (2, 3, 4, 5)
    }

    assert meanings[2] == meanings[3] == {OutcomeUnknown if stage is Stage.PAYLOAD else Unavailable}
    assert meanings[4] <= {Unavailable, Deferred, Throttled, Misconfigured}
    assert meanings[5] <= {Rejected, Misconfigured, Unavailable}


@pytest.mark.parametrize("stage", [Stage.CONNECT, Stage.HELLO, Stage.TLS, Stage.LOGIN])
def test_nothing_said_before_there_is_a_mail_is_a_notifications_fault(stage: Stage) -> None:
    assert {_error(stage, code) for code in range(500, 600)} == {Misconfigured}


def _error(stage: Stage, code: int) -> type[DeliveryError]:
    return refusal(stage, SmtpReply(code, "")).error


@pytest.mark.parametrize("code", [400, 421, 450, 452, 500, 550, 552, 554])
def test_a_verdict_on_the_whole_mail_never_leaves_its_outcome_open(code: int) -> None:
    assert refusal(Stage.PAYLOAD, SmtpReply(code, "")).error is not OutcomeUnknown


def test_every_line_of_the_table_is_reached_by_some_reply() -> None:
    rows = [*OPENING, *ABOUT_US, *OUR_RATE, *THE_RELAY, *THE_NOTIFICATION]
    plain = itertools.product(Stage, range(400, 600), ("", "5.3.4", "5.6.7"))
    reached = {
        next((rule for rule in RULES if rule.covers(stage, SmtpReply(code, text))), None)
        for stage, code, text in (*(row[:3] for row in rows), *plain)
    }

    assert [rule for rule in RULES if rule not in reached] == []


@pytest.mark.parametrize(
    ("text", "enhanced"),
    [("5.1.1 no", "5.1.1"), ("no 5.1.1", ""), ("5.1.1.1 no", ""), ("10.0.0.1 no", ""), ("", "")],
)
def test_an_enhanced_status_code_stands_at_the_start(text: str, enhanced: str) -> None:
    assert SmtpReply(550, text).enhanced == enhanced


def test_an_address_with_a_telling_word_in_it_changes_no_meaning() -> None:
    reply = SmtpReply(550, "5.7.1 <relay@slow-down.example>: not here")

    found = explain(NegativeReply(reply), Stage.RECIPIENT, lambda _: "(address): not here")

    assert found.diagnosis.error is Rejected
    assert found.sentence == "the relay refuses the recipient (550 5.7.1 (address): not here)"


def test_a_misconfiguration_says_which_setting_to_look_at() -> None:
    found = explain(
        NegativeReply(SmtpReply(535, "5.7.8 bad password")), Stage.LOGIN, lambda text: text.strip()
    )

    assert "TIDINGS_EMAIL_PASSWORD" in found.sentence
    assert found.codes == "535 5.7.8"


@pytest.mark.parametrize(
    ("code", "text", "suppressed"),
    [
        (550, "5.1.1 <a>: Recipient address rejected: User unknown in local recipient table", True),
        (550, "5.1.10 RESOLVER.ADR.RecipientNotFound; not found", True),
        (556, "5.1.10 the domain takes no mail", True),
        (551, "5.1.6 the mailbox has moved", True),
        (550, "5.2.1 The email account that you tried to reach is disabled", True),
        (550, "5.2.1 is receiving mail at a rate that prevents additional messages", False),
        (550, "No such user here", True),
        (553, "sorry, that recipient is unknown", True),
        (550, "Administrative prohibition", False),
        (550, "5.7.1 no such user may send", False),
        (552, "5.2.2 mailbox full", False),
        (450, "4.1.1 User unknown", False),
    ],
)
def test_a_mailbox_that_does_not_exist_is_one_to_suppress(
    code: int, text: str, suppressed: bool
) -> None:
    diagnosis = refusal(Stage.RECIPIENT, SmtpReply(code, text), relaying=RelayingState.CONFIRMED)

    assert diagnosis.suppress is (Suppression.NO_SUCH_RECIPIENT if suppressed else None)


@pytest.mark.parametrize("stage", [Stage.SENDER, Stage.PAYLOAD])
def test_only_a_refusal_of_the_recipient_is_one_to_suppress(stage: Stage) -> None:
    assert refusal(stage, SmtpReply(550, "5.1.1 no such user")).suppress is None
