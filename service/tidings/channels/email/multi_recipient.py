"""Sends one mail to several recipients, and keeps the result of each.

The notification's own recipient comes first: if the relay refuses it, nothing is sent to the copies. A refused
copy does not keep the others from getting the mail, however the relay reacts to many errors: it is left out, and
the others follow in another transaction.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, TypeAlias

from tidings.channels.email.connection import MailProgress
from tidings.channels.email.connection_limits import CLOSING, NegativeReply
from tidings.channels.email.failures import FAILURES
from tidings.channels.email.message import Mail
from tidings.channels.email.pool import Pool
from tidings.channels.email.replies import SmtpReply, Stage
from tidings.delivery.errors import DeliveryError, Unavailable

MOST: Final = 100
"""Recipients of a transaction; every server accepts as many (RFC 5321, 4.5.3.1.8)."""
_TOO_MANY: Final = frozenset({452, 552})
_RECIPIENTS: Final = re.compile(r"[45]\.5\.3\b|recipients", re.IGNORECASE)
_NOT_SENT: Final = "the send timed out before this copy was sent"

Explain: TypeAlias = Callable[[Exception, MailProgress], DeliveryError]
"""Our error for a failure at a mail's progress."""


class MultiRecipientSend:
    """Sends a mail to all its recipients.

    Args:
        mails: The same mail, once for each group of recipients that can't share a transaction.
    """

    def __init__(self, mails: Sequence[Mail], pool: Pool, explain: Explain) -> None:
        self._mails = mails
        self._pool = pool
        self._explain = explain
        self.progress = MailProgress()
        """Of the current transaction."""
        self._batch: tuple[str, ...] = ()
        """The recipients of the current transaction."""
        self.accepted_reply: SmtpReply | None = None
        """The relay's reply when it first accepted the mail."""
        self.results: dict[str, DeliveryError | None] = {}
        """The result of each address: an error, or None if the mail was accepted for it."""

    @property
    def settled(self) -> bool:
        """Whether there are results that must be recorded even if sending fails now."""
        return bool(self.accepted_reply or self.results) and not self._recipient_waits

    @property
    def _recipient_waits(self) -> bool:
        """Whether the notification's own recipient has no result yet."""
        recipient = self._mails[0].envelope.recipient
        return bool(recipient) and recipient not in self.results

    async def run(self) -> None:
        """Send until every recipient has a result.

        Raises:
            NegativeReply, StaleConnection, SMTPException, OSError, ValueError: As `Pool.carry`; no recipient
                has got the mail.
        """
        for mail in self._mails:
            waiting = mail.envelope.everyone
            while waiting:
                waiting = await self._transaction(mail, waiting)

    def give_up(self, error: Exception) -> None:
        """Record a failure for all without a result, after a timeout."""
        self._fail_batch(error)
        for mail in self._mails:
            self._fail(mail.envelope.everyone, Unavailable(_NOT_SENT))

    def _fail(self, addresses: Sequence[str], error: DeliveryError) -> None:
        self.results |= {each: error for each in addresses if each not in self.results}

    async def _transaction(self, mail: Mail, waiting: tuple[str, ...]) -> tuple[str, ...]:
        """Send to the first of those waiting; return those that still wait."""
        self._batch, self.progress = waiting[:MOST], MailProgress()
        try:
            reply = await self._pool.carry(mail.only(self._batch), self.progress)
        except FAILURES as error:
            if not self._continues(error):
                raise
        else:
            self.accepted_reply = self.accepted_reply or reply
            self._settle(accepted=True)
        return tuple(each for each in waiting if each not in self.results)

    def _settle(self, *, accepted: bool) -> int:
        """Record the reply to each recipient; return the number of refusals."""
        refused, at_recipient = 0, replace(self.progress, stage=Stage.RECIPIENT)
        for address, reply in self.progress.replies.items():
            if reply.positive and accepted:
                self.results[address] = None
            elif not reply.positive and _is_final(reply):
                self.results[address] = self._explain(NegativeReply(reply), at_recipient)
                refused += 1
        return refused

    def _continues(self, error: Exception) -> bool:
        """Record a failed transaction; whether to continue with the remaining recipients."""
        recipient, replies = self._mails[0].envelope.recipient, self.progress.replies
        among_copies = self.progress.stage is Stage.RECIPIENT and (
            not self._recipient_waits or (recipient in replies and replies[recipient].positive)
        )
        if among_copies and self._settle(accepted=False):
            return True
        if not self.settled:
            return False
        self._fail_batch(error)
        return True

    def _fail_batch(self, error: Exception) -> None:
        """Fail the current transaction's recipients, except those that the relay refused before."""
        if self.progress.stage > Stage.RECIPIENT:
            self._settle(accepted=False)
        self._fail(self._batch, self._explain(error, self.progress))


def _is_final(reply: SmtpReply) -> bool:
    """Whether a refusal concerns this recipient: neither "too many recipients" (RFC 5321, 4.5.3.1.10) nor 421."""
    if reply.code in _TOO_MANY:
        return _RECIPIENTS.search(reply.text) is None
    return reply.code != CLOSING
