"""What is about one connection only: it is renewed, or it is one too many, and no mail is to blame.

A relay may limit what a connection carries, and how many there are. It says so with 421, with a code of its
choice, or by hanging up (Postfix `smtpd_client_connection_count_limit`, `smtpd_soft_error_limit`; OpenSMTPD
`452 Too many messages sent`; Exim `smtp_accept_max_per_connection`; Exchange Online `432 4.3.2`; Courier
closes without a word).
"""

import re
from typing import Final

from aiosmtplib import SMTPConnectError, SMTPResponseException, SMTPServerDisconnected

from tidings.channels.email import reply_rules
from tidings.channels.email.replies import Reply, Stage
from tidings.delivery.errors import Deferred

LEAVING: Final = 421
"""The relay closes the connection after this reply (RFC 5321, 3.8)."""
REFUSALS: Final = 4
"""Mails refused in a row after which a connection is renewed. Postfix waits a second before each reply once
a connection has made 10 errors (`smtpd_soft_error_limit`), and counts two for a refused mail that was piped.

Also how many recipients of one mail are asked for at once, and may be refused before it is handed over for those
who were accepted, the others going with another: Exchange hangs up at an error too many (5), Postfix at the 20th
(`smtpd_hard_error_limit`), and Sendmail waits from the 3rd on (Debian's `BadRcptThrottle`)."""

_SLOWER: Final = re.compile(r"\brate\b|throttl|too much|slow down|quota", re.IGNORECASE)
"""About all that we send: another connection would not be served better."""
_THIS_ONE: Final = re.compile(
    r"too many .{0,40}(session|connection|transaction)|(this|per|in) (smtp )?(session|connection)",
    re.IGNORECASE,
)
_THE_MAIL: Final = re.compile(r"552.*|5\d\d 5\.(3\.4|2\.3|6\.7)|53[0458].*")
"""Said of a mail's size or alphabet, or of a missing login: another connection makes no difference."""
_TOO_MANY: Final = re.compile(
    r"concurrent|too many (simultaneous |parallel |open |smtp )*(connections|sessions)"
    r"|(connections?|thread) limit|max\w* (number of )?connections|connections? from your",
    re.IGNORECASE,
)
_OUT_OF_STEP: Final = frozenset({500, 503})
_SYNCHRONIZATION: Final = re.compile(r"\bpipelining\b|\bsynchroni[sz]ation\b", re.IGNORECASE)


class Refusal(Exception):
    """The relay answered, and it was no success."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.codes)
        self.reply = reply


class Stale(Exception):
    """The connection would not do for this mail, nothing of which was sent; a fresh one may."""


class Crowded(Exception):
    """The relay may have no room for one more connection of ours.

    Args:
        trouble: What it said or did.
    """

    def __init__(self, trouble: Exception) -> None:
        super().__init__(str(trouble))
        self.trouble = trouble


class TookLeave(SMTPServerDisconnected):
    """The relay closed the connection unasked, and said why."""

    def __init__(self, reply: Reply) -> None:
        super().__init__("Connection lost")
        self.reply = reply


def reply_in(trouble: BaseException) -> Reply | None:
    """The relay's own words in an exception."""
    match trouble:
        case Refusal(reply=reply) | TookLeave(reply=reply):
            return reply
        case SMTPResponseException(code=int(code), message=str(text)) if code > 0:
            return Reply(code, text)
        case _:
            return None


def worn(stage: Stage, reply: Reply, *, own_sender: bool) -> bool:
    """Whether a connection that has carried mail was refused this one for what it had carried.

    Args:
        own_sender: Whether the mail is from our sender, which the relay took before on this connection.
    """
    if _SLOWER.search(reply.text) or _THE_MAIL.fullmatch(reply.codes):
        return False
    if reply.code == LEAVING or _THIS_ONE.search(reply.text):
        return True
    return stage is Stage.SENDER and own_sender


def crowded(stage: Stage, reply: Reply) -> bool:
    """Whether a reply says that we have too many connections, or may while we have others.

    Not where it says so of those to the recipient, or of all that they get (`recipient thread limit exceeded`).
    """
    if stage < Stage.SENDER and reply.code == LEAVING:
        return True
    if not 400 <= reply.code < 500 or _TOO_MANY.search(reply.text) is None:
        return False
    return not issubclass(reply_rules.refusal(stage, reply).error, Deferred)


def turned_away(stage: Stage, trouble: Exception) -> bool:
    """Whether a connection that could not be opened may be one too many."""
    if (reply := reply_in(trouble)) is not None:
        return crowded(stage, reply)
    cause = trouble.__cause__ if isinstance(trouble, SMTPConnectError) else trouble
    return isinstance(cause, ConnectionError)


def out_of_step(reply: Reply) -> bool:
    """Whether a reply to a piped command shows that the relay did not read it as one of several."""
    return reply.code in _OUT_OF_STEP or _SYNCHRONIZATION.search(reply.text) is not None
