"""What a reply that is no success says, and of whom: a table, read from top to bottom.

A reply is about us (`Misconfigured`, with the remedy), about the relay's state (`Unavailable`, `Throttled`:
they count for its circuit), or about this one notification (`Rejected`, `Deferred`: its own result). What is
about one connection only is `connection_limits.py`'s and never comes here while another connection may do.

Sources: RFC 5321 (4.2, 4.3.2: reply codes), RFC 3463 and RFC 5248 (enhanced status codes), RFC 4954
(6: authentication), RFC 3207 (4: STARTTLS), RFC 1870 (6: size), RFC 6531 (3.5: SMTPUTF8), RFC 7504
(521), the replies in the sources of Postfix 3.12 (`smtpd_check.c`, `milter8.c`), Exim 4.99 (`smtp_in.c`) and
OpenSMTPD 7, and the SMTP error references of Gmail, Exchange Online and Amazon SES.
"""

import re
from dataclasses import dataclass, replace
from typing import Final

from tidings.channels.email.replies import Reading, Reply, Stage, Welcome, nonsense
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
    """One line of the table; `codes` and `words` are regular expressions."""

    stages: frozenset[Stage]
    codes: str
    """Matches the whole of `Reply.codes`."""
    reading: Reading
    words: str = ""
    """Has to occur in the reply's text."""

    def covers(self, stage: Stage, reply: Reply) -> bool:
        """Whether it is about this reply."""
        return (
            stage in self.stages
            and re.fullmatch(self.codes, reply.codes) is not None
            and re.search(self.words, reply.text, re.IGNORECASE) is not None
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
"""The recipient gets too much, from whomever (Gmail, Exchange Online)."""
_RATES: Final = (
    r"\brate\b|throttl|too (many|much|fast)(?! recipients)|too many recipients from|slow down"
    r"|(sending|daily|hourly|message|connections?).{0,20}(limit|quota)|limit exceeded"
)
_QUOTAS: Final = (
    r"throttl|\b(sending|daily|hourly|monthly|rate|submission|message count|per (hour|day|minute)).{0,20}"
    r"(limit|quota)|SubmissionQuotaExceeded|max emails per (hour|day)|e?mails? per (hour|day|minute)"
)
"""What we may send, told for good. A recipient's own quota is another thing: `mailbox over quota`."""
_RELAYING: Final = r"\brelay(ing)?\b|allowed rcpthosts|cannot deliver mail for"
_UNVERIFIED: Final = r"not verified\. the following identities|verified sender identity"
_SENDER_REFUSED: Final = r"sender address rejected|sender verify failed"
_HELO_REFUSED: Final = r"helo command rejected|helo domain"
# Where it verifies a recipient, a relay quotes the other host (`… said: …`): not us, but that one is meant.
_MACHINE_REFUSED: Final = (
    r"^(?!.*\bsaid:).*(client host (\S+ )?(rejected|blocked)|blocked using|banned sending ip"
    r"|rejected because .{0,60}black ?list|rejected: \S+ listed (at|in|on|by)\b)"
)
_DENIED: Final = r"^\s*(5\.7\.1 )?\s*(<\S*>\.\.\. )?(access denied|administrative prohibition)\b"
"""Sendmail's and Exim's words for a machine that they don't let in, where they keep them until there is a recipient."""
_VERIFIED: Final = r"recipient address rejected: (undeliverable|unverified) address"
"""Postfix asked the recipient's own host, and quotes whatever that said, of itself or of our relay."""
_UNKNOWN_MAILBOX: Final = (
    r"no such (user|mailbox|recipient|address)|unknown (user|mailbox|recipient)"
    r"|(user|mailbox|recipient|address) (is )?(unknown|not found|does(n't| not) exist)"
)
_BUSY: Final = (
    r"(system|server) (problem|error|busy|storage|configuration)|insufficient|resources|lookup (failure|error)"
    r"|service (is )?(currently |temporarily )?(un|not )available|service failure|queue file"
    r"|shutting down|maintenance"
)
"""The relay itself has a problem, whomever the mail is for."""

_RATE = Reading(Throttled, "the relay limits our rate")
_PASSWORD = Reading(
    Misconfigured, "the relay wants the account's password changed", "log in to it and change it"
)
_LOG_IN = Reading(
    Misconfigured,
    "the relay wants a login that it accepts",
    "check TIDINGS_EMAIL_USERNAME, TIDINGS_EMAIL_PASSWORD and TIDINGS_EMAIL_TLS",
)
_NO_RELAY = Reading(
    Misconfigured,
    "the relay does not pass mail on for us",
    "check TIDINGS_EMAIL_USERNAME, TIDINGS_EMAIL_PASSWORD and TIDINGS_EMAIL_PORT, and that this machine's "
    "address or this account may send through the relay",
    doubtful=True,
)
_SHUT_OUT = Reading(
    Misconfigured,
    "the relay refuses this machine, or the recipient",
    "if it takes mail for nobody, check TIDINGS_EMAIL_HOST, and that this machine's address may use the relay",
    doubtful=True,
)
_ENCRYPT = Reading(
    Misconfigured, "the relay takes mail over TLS only", "set TIDINGS_EMAIL_TLS=starttls"
)
_GREET = Reading(
    Misconfigured, "the relay does not accept the name we greet with", "set TIDINGS_EMAIL_HELO"
)
_MACHINE = Reading(
    Misconfigured,
    "the relay refuses this machine",
    "check TIDINGS_EMAIL_HOST, TIDINGS_EMAIL_PORT and TIDINGS_EMAIL_TLS, and that this machine's "
    "address may use the relay",
)
_OUR_SENDER = Reading(
    Misconfigured,
    "the relay does not take mail from our sender",
    "check TIDINGS_EMAIL_SENDER, and that this account may send as it",
)
_OUR_MAILBOX = Reading(
    Misconfigured, "the mailbox that we send from is full", "empty the account's mailbox"
)
_TOO_LARGE = Reading(Rejected, "the mail is too large for the relay")
_INTERNATIONAL = Reading(
    Rejected, "an address has dead letters before its @ that the relay can't pass on (SMTPUTF8)"
)
_OUT_OF_STEP = Reading(Unavailable, "the conversation with the relay got out of step")
_BAD_RECIPIENT = Reading(Rejected, "the relay refuses the recipient")
_NO_SUCH_RECIPIENT = replace(_BAD_RECIPIENT, suppress=Suppression.NO_SUCH_RECIPIENT)
_BAD_MAIL = Reading(Rejected, "the relay refuses the mail")
_NOT_NOW = Reading(Unavailable, "the relay can't take it now")
_RECIPIENT_LATER = Reading(Deferred, "the relay can't take mail for the recipient now")
_MAIL_LATER = Reading(Deferred, "the relay can't take this mail now")

RULES: Final[tuple[Rule, ...]] = (
    # What is about this mail although it is said of the sender: its size, its alphabet.
    Rule(_MAIL, r"552( 5\.3\.4)?|5\d\d 5\.(3\.4|2\.3)", _TOO_LARGE),
    Rule(_MAIL, r"55[03] 5\.6\.7", _INTERNATIONAL),
    # What is about the recipient although it sounds like more.
    Rule(_RECIPIENT, r"4\d\d.*", _RECIPIENT_LATER, _VERIFIED),
    Rule(_RECIPIENT, r"5\d\d.*", _BAD_RECIPIENT, _VERIFIED),
    Rule(_ADDRESSED, r"4\d\d.*", _RECIPIENT_LATER, _GREYLISTED),
    Rule(_ADDRESSED, r"4\d\d.*", _RECIPIENT_LATER, _THEIR_RATE),
    Rule(_ADDRESSED, r"4\d\d 4\.2\.2", _RECIPIENT_LATER),
    # Exchange Online's, which speaks of quotas and throttling here too.
    Rule(_PAYLOAD, r"554 5\.2\.2", _OUR_MAILBOX, r"STOREDRV\.Submission"),
    Rule(_PAYLOAD, r"5\d\d.*", _OUR_SENDER, r"send ?as ?denied|permissions to send as"),
    # What we may send. 4.7.28 is Gmail's, 4.7.5xx, 4.7.6xx and 5.2.25x are Exchange Online's.
    Rule(_ANY, r"4\d\d 4\.7\.(28|[56]\d\d)|5\d\d 5\.(4\.5|2\.25[1-5])", _RATE),
    Rule(_ANY, r"4\d\d.*", _RATE, _RATES),
    Rule(_ANY, r"5\d\d.*", _RATE, _QUOTAS),
    # Who we are, before there is any mail: never a notification's fault. 432 is RFC 4954's; Exchange Online
    # uses it for other things.
    Rule(_LOGIN, r"432( 4\.7\.12)?", _PASSWORD),
    Rule(_LOGIN, r"5\d\d.*", _LOG_IN),
    Rule(_HELLO, r"5\d\d.*", _GREET),
    Rule(_OPENING, r"5\d\d.*", _MACHINE),
    # Many servers ask for the login, or for TLS, only when there is a mail to refuse.
    Rule(_COMMANDS, r"53[0458].*", _LOG_IN),
    Rule(_COMMANDS, r"4\d\d.*", _ENCRYPT, r"session encryption is required"),
    Rule(_RECIPIENT, r"[45]\d\d( [45]\.7\.\d+)?", _NO_RELAY, _RELAYING),
    # Postfix keeps what it has against us until there is a recipient (smtpd_delay_reject).
    Rule(_MAIL, r"[45]\d\d.*", _OUR_SENDER, _SENDER_REFUSED),
    Rule(_PAYLOAD, r"5\d\d.*", _OUR_SENDER, _UNVERIFIED),
    Rule(_RECIPIENT, r"5\d\d.*", _BAD_RECIPIENT, r"recipient address rejected"),
    Rule(_COMMANDS, r"[45]\d\d.*", _GREET, _HELO_REFUSED),
    Rule(_RECIPIENT, r"504 5\.5\.2", _GREET),
    Rule(_COMMANDS, r"[45]\d\d.*", _MACHINE, _MACHINE_REFUSED),
    Rule(_RECIPIENT, r"550( 5\.7\.1)?", _SHUT_OUT, _DENIED),
    # A bad sequence means that we and the relay no longer speak of the same mail.
    Rule(_MAIL, r"503.*", _OUT_OF_STEP),
    Rule(_SENDER, r"5\d\d.*", _OUR_SENDER),
    Rule(_RECIPIENT, r"5\d\d.*", _BAD_RECIPIENT),
    Rule(_MAIL, r"5\d\d.*", _BAD_MAIL),
    # Not now. Where MAIL was accepted, a recipient is put off for itself, unless the relay says what ails it.
    Rule(_RECIPIENT, r"421.*|4\d\d 4\.3\.[125]", _NOT_NOW),
    Rule(_ADDRESSED, r"4\d\d.*", _NOT_NOW, _BUSY),
    Rule(_RECIPIENT, r"4\d\d.*", _RECIPIENT_LATER),
    Rule(_PAYLOAD, r"4[35]\d 4\.[1267]\.\d+", _MAIL_LATER),
    Rule(_ANY, r"4\d\d.*", _NOT_NOW),
)


SUPPRESSED: Final[tuple[Rule, ...]] = (
    # RFC 3463: no such mailbox; moved; RFC 7505: the domain takes no mail.
    Rule(_RECIPIENT, r"5\d\d 5\.1\.(1|6|10)", _NO_SUCH_RECIPIENT),
    Rule(_RECIPIENT, r"5\d\d 5\.2\.1", _NO_SUCH_RECIPIENT, r"\b(disabled|inactive)\b"),
    # Many a server sends no enhanced code.
    Rule(_RECIPIENT, r"55[0134]", _NO_SUCH_RECIPIENT, _UNKNOWN_MAILBOX),
)
"""Which refusals of a recipient hold for whatever else is sent there."""


def refusal(
    stage: Stage, reply: Reply, *, override: bool = False, welcome: Welcome = Welcome.NO
) -> Reading:
    """What a reply that is no success means.

    Args:
        stage: What it answers.
        reply: With addresses taken out: one may hold a word that the table looks for.
        override: Whether the notification named its own sender: then it is to blame for it.
        welcome: Whether it passes mail on for us, as far as is known (`relaying.py`): then only not to this one.
    """
    reading = next((rule.reading for rule in RULES if rule.covers(stage, reply)), None)
    if reading is None:
        return nonsense(stage)
    if override and reading is _OUR_SENDER:
        return _its_own(
            reply, "the relay does not take mail from the from_address of the notification"
        )
    if reading.doubtful and welcome is Welcome.DOUBTED:
        return Reading(Deferred, reading.meaning, reading.remedy)
    if reading.doubtful and welcome is Welcome.YES:
        meaning = "the relay does not pass mail on to the recipient"
        return _BAD_RECIPIENT if reading is _SHUT_OUT else _its_own(reply, meaning)
    if reading is _BAD_RECIPIENT and any(rule.covers(stage, reply) for rule in SUPPRESSED):
        return _NO_SUCH_RECIPIENT
    return reading


def _its_own(reply: Reply, meaning: str) -> Reading:
    """The notification's own result."""
    return Reading(Rejected if reply.code >= 500 else Deferred, meaning)
