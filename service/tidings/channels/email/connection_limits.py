"""Recognises a relay's limits on connections: replies that concern the connection, and not the mail.

A relay may limit the mails per connection and the number of connections. It signals this with 421, with
another code, or by disconnecting (Postfix `smtpd_client_connection_count_limit`, `smtpd_soft_error_limit`;
OpenSMTPD `452 Too many messages sent`; Exim `smtp_accept_max_per_connection`; Exchange Online `432 4.3.2`;
Courier disconnects without a reply).
"""

import re
from typing import Final

from aiosmtplib import SMTPConnectError, SMTPResponseException, SMTPServerDisconnected

from tidings.channels.email import reply_rules
from tidings.channels.email.replies import SmtpReply, Stage
from tidings.delivery.errors import Deferred

CLOSING: Final = 421
"""Service closing transmission channel: the relay closes the connection after this reply (RFC 5321, 3.8)."""
REFUSALS: Final = 4
"""Mails refused in a row after which a connection is renewed. Postfix waits a second before each reply once
a connection has made 10 errors (`smtpd_soft_error_limit`), and counts two for a refused pipelined mail.

Also the number of RCPT TO sent at once, and of refused recipients after which the mail is sent to those
accepted so far, the rest following in another transaction: Exchange disconnects after 5 errors, Postfix after 20
(`smtpd_hard_error_limit`), and Sendmail slows down from the 3rd on (Debian's `BadRcptThrottle`)."""

_SLOWER: Final = re.compile(r"\brate\b|throttl|too much|slow down|quota", re.IGNORECASE)
"""Limits on everything we send: another connection would not help."""
_THIS_ONE: Final = re.compile(
    r"too many .{0,40}(session|connection|transaction)|(this|per|in) (smtp )?(session|connection)",
    re.IGNORECASE,
)
_THE_MAIL: Final = re.compile(r"552.*|5\d\d 5\.(3\.4|2\.3|6\.7)|53[0458].*")
"""Concerns a mail's size or SMTPUTF8, or a missing login: another connection would not help."""
_TOO_MANY: Final = re.compile(
    r"concurrent|too many (simultaneous |parallel |open |smtp )*(connections|sessions)"
    r"|(connections?|thread) limit|max\w* (number of )?connections|connections? from your",
    re.IGNORECASE,
)
_OUT_OF_STEP: Final = frozenset({500, 503})
_SYNCHRONIZATION: Final = re.compile(r"\bpipelining\b|\bsynchroni[sz]ation\b", re.IGNORECASE)


class NegativeReply(Exception):
    """The relay's reply is not positive."""

    def __init__(self, reply: SmtpReply) -> None:
        super().__init__(reply.codes)
        self.reply = reply


class StaleConnection(Exception):
    """The connection was unusable and nothing of the mail was sent; a new connection may work."""


class TooManyConnections(Exception):
    """The relay may not accept one more connection from us.

    Args:
        error: Its reply, or the failure.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class ClosedByRelay(SMTPServerDisconnected):
    """The relay sent 421 and closed the connection."""

    def __init__(self, reply: SmtpReply) -> None:
        super().__init__("Connection lost")
        self.reply = reply


def reply_in(error: BaseException) -> SmtpReply | None:
    """The relay's reply in an exception, if it holds one."""
    match error:
        case NegativeReply(reply=reply) | ClosedByRelay(reply=reply):
            return reply
        case SMTPResponseException(code=int(code), message=str(text)) if code > 0:
            return SmtpReply(code, text)
        case _:
            return None


def worn_out(stage: Stage, reply: SmtpReply, *, own_sender: bool) -> bool:
    """Whether the refusal of a mail on a reused connection is due to the mails that it sent before.

    Args:
        own_sender: Whether the mail is from our sender, which the relay accepted before on this connection.
    """
    if _SLOWER.search(reply.text) or _THE_MAIL.fullmatch(reply.codes):
        return False
    if reply.code == CLOSING or _THIS_ONE.search(reply.text):
        return True
    return stage is Stage.SENDER and own_sender


def too_many_connections(stage: Stage, reply: SmtpReply) -> bool:
    """Whether a reply says that we have too many connections, or may mean it if we have others.

    A limit of the recipient's own server doesn't count (`recipient thread limit exceeded`).
    """
    if stage < Stage.SENDER and reply.code == CLOSING:
        return True
    if not 400 <= reply.code < 500 or _TOO_MANY.search(reply.text) is None:
        return False
    return not issubclass(reply_rules.refusal(stage, reply).error, Deferred)


def connection_refused(stage: Stage, error: Exception) -> bool:
    """Whether opening a connection may have failed because we have too many."""
    if (reply := reply_in(error)) is not None:
        return too_many_connections(stage, reply)
    cause = error.__cause__ if isinstance(error, SMTPConnectError) else error
    return isinstance(cause, ConnectionError)


def pipelining_failed(reply: SmtpReply) -> bool:
    """Whether a reply to a pipelined command shows that the relay does not support pipelining."""
    return reply.code in _OUT_OF_STEP or _SYNCHRONIZATION.search(reply.text) is not None
