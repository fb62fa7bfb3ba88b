"""Classifies negative replies: a table, read from top to bottom.

A reply concerns us (`Misconfigured`, with a remedy), the relay's state (`Unavailable`, `Throttled`:
they count for its circuit), or this one notification (`Rejected`, `Deferred`). Replies that concern only
one connection are handled by `connection_limits.py` and get here only if a new connection doesn't help.

Sources: RFC 5321 (4.2, 4.3.2: reply codes), RFC 3463 and RFC 5248 (enhanced status codes), RFC 4954
(6: authentication), RFC 3207 (4: STARTTLS), RFC 1870 (6: size), RFC 6531 (3.5: SMTPUTF8), RFC 7504
(521), the replies in the sources of Postfix 3.12 (`smtpd_check.c`, `milter8.c`), Exim 4.99 (`smtp_in.c`) and
OpenSMTPD 7, and the SMTP error references of Gmail, Exchange Online and Amazon SES.
"""

import re
from dataclasses import dataclass, replace
from typing import Final

from tidings.channels.email.replies import (
    Diagnosis,
    RelayingState,
    SmtpReply,
    Stage,
    malformed_reply,
)
from tidings.delivery.errors import (
    Deferred,
    Misconfigured,
    Rejected,
    Suppression,
    Throttled,
    Unavailable,
)


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the table; `codes` and `text` are regular expressions."""

    stages: frozenset[Stage]
    codes: str
    """Matches the whole of `SmtpReply.codes`."""
    diagnosis: Diagnosis
    text: str = ""
    """Occurs in the reply's text."""

    def covers(self, stage: Stage, reply: SmtpReply) -> bool:
        """Whether it matches this reply."""
        return (
            stage in self.stages
            and re.fullmatch(self.codes, reply.codes) is not None
            and re.search(self.text, reply.text, re.IGNORECASE) is not None
        )


def _from(first: Stage, last: Stage) -> frozenset[Stage]:
    return frozenset(stage for stage in Stage if first <= stage <= last)


_ANY = _from(Stage.CONNECT, Stage.PAYLOAD)
_OPENING = _from(Stage.CONNECT, Stage.TLS)
_HELLO = frozenset({Stage.HELLO})
_LOGIN = frozenset({Stage.LOGIN})
_MAIL = _from(Stage.SENDER, Stage.PAYLOAD)
_COMMANDS = _from(Stage.SENDER, Stage.DATA)
_SENDER = frozenset({Stage.SENDER})
_RECIPIENT = frozenset({Stage.RECIPIENT})
_ADDRESSED = _from(Stage.RECIPIENT, Stage.PAYLOAD)
_PAYLOAD = frozenset({Stage.PAYLOAD})

_GREYLISTED: Final = r"gr[ea]y-?\s?list"
_THEIR_RATE: Final = (
    r"receiving mail (too quickly|at a rate)|recipient (thread|rate) limit|STOREDRV\.Deliver"
)
"""The recipient gets too much mail, from all senders together (Gmail, Exchange Online)."""
_RATES: Final = (
    r"\brate\b|throttl|too (many|much|fast)(?! recipients)|too many recipients from|slow down"
    r"|(sending|daily|hourly|message|connections?).{0,20}(limit|quota)|limit exceeded"
)
_QUOTAS: Final = (
    r"throttl|\b(sending|daily|hourly|monthly|rate|submission|message count|per (hour|day|minute)).{0,20}"
    r"(limit|quota)|SubmissionQuotaExceeded|max emails per (hour|day)|e?mails? per (hour|day|minute)"
)
"""Our sending quota, in a permanent reply; not a recipient's storage quota (`mailbox over quota`)."""
_RELAYING: Final = r"\brelay(ing)?\b|allowed rcpthosts|cannot deliver mail for"
_UNVERIFIED: Final = r"not verified\. the following identities|verified sender identity"
_SENDER_REFUSED: Final = r"sender address rejected|sender verify failed"
_HELO_REFUSED: Final = r"helo command rejected|helo domain"
# A relay that verifies a recipient quotes the other host (`… said: …`): that text does not concern us.
_MACHINE_REFUSED: Final = (
    r"^(?!.*\bsaid:).*(client host (\S+ )?(rejected|blocked)|blocked using|banned sending ip"
    r"|rejected because .{0,60}black ?list|rejected: \S+ listed (at|in|on|by)\b)"
)
_DENIED: Final = r"^\s*(5\.7\.1 )?\s*(<\S*>\.\.\. )?(access denied|administrative prohibition)\b"
"""Sendmail and Exim refuse a client with this, possibly only at RCPT TO."""
_VERIFIED: Final = r"recipient address rejected: (undeliverable|unverified) address"
"""Postfix verified the address with the recipient's own host, and quotes any reply of that host."""
_UNKNOWN_MAILBOX: Final = (
    r"no such (user|mailbox|recipient|address)|unknown (user|mailbox|recipient)"
    r"|(user|mailbox|recipient|address) (is )?(unknown|not found|does(n't| not) exist)"
)
_BUSY: Final = (
    r"(system|server) (problem|error|busy|storage|configuration)|insufficient|resources|lookup (failure|error)"
    r"|service (is )?(currently |temporarily )?(un|not )available|service failure|queue file"
    r"|shutting down|maintenance"
)
"""The relay itself has a problem, regardless of the recipient."""

_RATE = Diagnosis(Throttled, "the relay limits our rate")
_PASSWORD = Diagnosis(
    Misconfigured,
    "the relay requires a new password for the account",
    "log in to the account and change its password",
)
_LOG_IN = Diagnosis(
    Misconfigured,
    "the relay does not accept the login, or requires one",
    "check TIDINGS_EMAIL_USERNAME, TIDINGS_EMAIL_PASSWORD and TIDINGS_EMAIL_TLS",
)
_NO_RELAY = Diagnosis(
    Misconfigured,
    "the relay does not relay mail for us",
    "check TIDINGS_EMAIL_USERNAME, TIDINGS_EMAIL_PASSWORD and TIDINGS_EMAIL_PORT, and that this machine's "
    "address or this account may send through the relay",
    doubtful=True,
)
_SHUT_OUT = Diagnosis(
    Misconfigured,
    "the relay refuses this machine, or the recipient",
    "if it accepts no recipient, check TIDINGS_EMAIL_HOST, and that this machine's address may use the relay",
    doubtful=True,
)
_ENCRYPT = Diagnosis(
    Misconfigured, "the relay accepts mail over TLS only", "set TIDINGS_EMAIL_TLS=starttls"
)
_GREET = Diagnosis(
    Misconfigured, "the relay does not accept our EHLO name", "set TIDINGS_EMAIL_HELO"
)
_MACHINE = Diagnosis(
    Misconfigured,
    "the relay refuses this machine",
    "check TIDINGS_EMAIL_HOST, TIDINGS_EMAIL_PORT and TIDINGS_EMAIL_TLS, and that this machine's "
    "address may use the relay",
)
_OUR_SENDER = Diagnosis(
    Misconfigured,
    "the relay does not accept mail from our sender",
    "check TIDINGS_EMAIL_SENDER, and that this account may send as it",
)
_OUR_MAILBOX = Diagnosis(
    Misconfigured, "the sending account's mailbox is full", "empty the account's mailbox"
)
_TOO_LARGE = Diagnosis(Rejected, "the mail is too large for the relay")
_INTERNATIONAL = Diagnosis(
    Rejected, "the relay does not support an address with a non-ASCII local part (SMTPUTF8)"
)
_OUT_OF_STEP = Diagnosis(Unavailable, "the SMTP session got out of sync")
_BAD_RECIPIENT = Diagnosis(Rejected, "the relay refuses the recipient")
_NO_SUCH_RECIPIENT = replace(_BAD_RECIPIENT, suppress=Suppression.NO_SUCH_RECIPIENT)
_BAD_MAIL = Diagnosis(Rejected, "the relay refuses the mail")
_NOT_NOW = Diagnosis(Unavailable, "the relay can't accept it now")
_RECIPIENT_LATER = Diagnosis(Deferred, "the relay can't accept mail for the recipient now")
_MAIL_LATER = Diagnosis(Deferred, "the relay can't accept this mail now")

RULES: Final[tuple[Rule, ...]] = (
    # The mail's size and SMTPUTF8, even in reply to MAIL FROM.
    Rule(_MAIL, r"552( 5\.3\.4)?|5\d\d 5\.(3\.4|2\.3)", _TOO_LARGE),
    Rule(_MAIL, r"55[03] 5\.6\.7", _INTERNATIONAL),
    # Concern only the recipient, although their text may match a later rule.
    Rule(_RECIPIENT, r"4\d\d.*", _RECIPIENT_LATER, _VERIFIED),
    Rule(_RECIPIENT, r"5\d\d.*", _BAD_RECIPIENT, _VERIFIED),
    Rule(_ADDRESSED, r"4\d\d.*", _RECIPIENT_LATER, _GREYLISTED),
    Rule(_ADDRESSED, r"4\d\d.*", _RECIPIENT_LATER, _THEIR_RATE),
    Rule(_ADDRESSED, r"4\d\d 4\.2\.2", _RECIPIENT_LATER),
    # Exchange Online, which mentions quotas and throttling here too.
    Rule(_PAYLOAD, r"554 5\.2\.2", _OUR_MAILBOX, r"STOREDRV\.Submission"),
    Rule(_PAYLOAD, r"5\d\d.*", _OUR_SENDER, r"send ?as ?denied|permissions to send as"),
    # Our sending limits. 4.7.28 is Gmail's, 4.7.5xx, 4.7.6xx and 5.2.25x are Exchange Online's.
    Rule(_ANY, r"4\d\d 4\.7\.(28|[56]\d\d)|5\d\d 5\.(4\.5|2\.25[1-5])", _RATE),
    Rule(_ANY, r"4\d\d.*", _RATE, _RATES),
    Rule(_ANY, r"5\d\d.*", _RATE, _QUOTAS),
    # Before the first mail: concerns us, never a notification. 432 is RFC 4954's; Exchange Online
    # uses it for other things.
    Rule(_LOGIN, r"432( 4\.7\.12)?", _PASSWORD),
    Rule(_LOGIN, r"5\d\d.*", _LOG_IN),
    Rule(_HELLO, r"5\d\d.*", _GREET),
    Rule(_OPENING, r"5\d\d.*", _MACHINE),
    # Many servers require authentication or TLS only at MAIL FROM or RCPT TO.
    Rule(_COMMANDS, r"53[0458].*", _LOG_IN),
    Rule(_COMMANDS, r"4\d\d.*", _ENCRYPT, r"session encryption is required"),
    Rule(_RECIPIENT, r"[45]\d\d( [45]\.7\.\d+)?", _NO_RELAY, _RELAYING),
    # Postfix refuses clients and senders only at RCPT TO (smtpd_delay_reject).
    Rule(_MAIL, r"[45]\d\d.*", _OUR_SENDER, _SENDER_REFUSED),
    Rule(_PAYLOAD, r"5\d\d.*", _OUR_SENDER, _UNVERIFIED),
    Rule(_RECIPIENT, r"5\d\d.*", _BAD_RECIPIENT, r"recipient address rejected"),
    Rule(_COMMANDS, r"[45]\d\d.*", _GREET, _HELO_REFUSED),
    Rule(_RECIPIENT, r"504 5\.5\.2", _GREET),
    Rule(_COMMANDS, r"[45]\d\d.*", _MACHINE, _MACHINE_REFUSED),
    Rule(_RECIPIENT, r"550( 5\.7\.1)?", _SHUT_OUT, _DENIED),
    # Bad sequence of commands: the session is out of sync.
    Rule(_MAIL, r"503.*", _OUT_OF_STEP),
    Rule(_SENDER, r"5\d\d.*", _OUR_SENDER),
    Rule(_RECIPIENT, r"5\d\d.*", _BAD_RECIPIENT),
    Rule(_MAIL, r"5\d\d.*", _BAD_MAIL),
    # Transient. After MAIL FROM only the recipient is deferred, unless the relay reports a problem of its own.
    Rule(_RECIPIENT, r"421.*|4\d\d 4\.3\.[125]", _NOT_NOW),
    Rule(_ADDRESSED, r"4\d\d.*", _NOT_NOW, _BUSY),
    Rule(_RECIPIENT, r"4\d\d.*", _RECIPIENT_LATER),
    Rule(_PAYLOAD, r"4[35]\d 4\.[1267]\.\d+", _MAIL_LATER),
    Rule(_ANY, r"4\d\d.*", _NOT_NOW),
)


SUPPRESSED: Final[tuple[Rule, ...]] = (
    # RFC 3463: no such mailbox; moved; RFC 7505: the domain accepts no mail.
    Rule(_RECIPIENT, r"5\d\d 5\.1\.(1|6|10)", _NO_SUCH_RECIPIENT),
    Rule(_RECIPIENT, r"5\d\d 5\.2\.1", _NO_SUCH_RECIPIENT, r"\b(disabled|inactive)\b"),
    # Many servers send no enhanced code.
    Rule(_RECIPIENT, r"55[0134]", _NO_SUCH_RECIPIENT, _UNKNOWN_MAILBOX),
)
"""Refusals of a recipient that hold for anything else sent to it."""


def refusal(
    stage: Stage,
    reply: SmtpReply,
    *,
    override: bool = False,
    relaying: RelayingState = RelayingState.UNCONFIRMED,
) -> Diagnosis:
    """Diagnose a negative reply.

    Args:
        stage: The stage that it ended.
        reply: With addresses redacted: a word in one could match a rule.
        override: Whether the notification names its own sender, which is its own fault then.
        relaying: Whether the relay relays for us (`relaying.py`): if so, it refuses only this recipient.
    """
    diagnosis = next((rule.diagnosis for rule in RULES if rule.covers(stage, reply)), None)
    if diagnosis is None:
        return malformed_reply(stage)
    if override and diagnosis is _OUR_SENDER:
        return _its_own(
            reply, "the relay does not accept mail from the notification's from_address"
        )
    if diagnosis.doubtful and relaying is RelayingState.DOUBTED:
        return Diagnosis(Deferred, diagnosis.meaning, diagnosis.remedy)
    if diagnosis.doubtful and relaying is RelayingState.CONFIRMED:
        meaning = "the relay does not relay mail to the recipient"
        return _BAD_RECIPIENT if diagnosis is _SHUT_OUT else _its_own(reply, meaning)
    if diagnosis is _BAD_RECIPIENT and any(rule.covers(stage, reply) for rule in SUPPRESSED):
        return _NO_SUCH_RECIPIENT
    return diagnosis


def _its_own(reply: SmtpReply, meaning: str) -> Diagnosis:
    """A diagnosis that concerns only the notification."""
    return Diagnosis(Rejected if reply.code >= 500 else Deferred, meaning)
