"""One mail to several: whom the relay is still to be asked for, and what it said of the others.

The recipient goes first, and nothing is sent to anybody where the relay refuses it. A copy that is refused keeps
nobody else from getting the mail, whatever the relay does after so many errors: it is not asked for again, and
the others are, with another transaction.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, TypeAlias

from tidings.channels.email.connection import Progress
from tidings.channels.email.connection_limits import LEAVING, Refusal
from tidings.channels.email.failures import TROUBLES
from tidings.channels.email.message import Mail
from tidings.channels.email.pool import Pool
from tidings.channels.email.replies import Reply, Stage
from tidings.delivery.errors import DeliveryError, Unavailable

MOST: Final = 100
"""Recipients of a transaction, which every server takes (RFC 5321, 4.5.3.1.8)."""
_TOO_MANY: Final = frozenset({452, 552})
_RECIPIENTS: Final = re.compile(r"[45]\.5\.3\b|recipients", re.IGNORECASE)
_NOT_ASKED: Final = "time ran out before the relay was asked for this copy"

Explain: TypeAlias = Callable[[Exception, Progress], DeliveryError]
"""What something that went wrong means, for a mail that had come so far."""


class Mailing:
    """Hands a mail over to everybody whom it is for.

    Args:
        mails: The same mail, apart for those who can't be told in one.
    """

    def __init__(self, mails: Sequence[Mail], pool: Pool, explain: Explain) -> None:
        self._mails = mails
        self._pool = pool
        self._explain = explain
        self.progress = Progress()
        """Of the transaction under way."""
        self._asked: tuple[str, ...] = ()
        """For whom that is."""
        self.taken: Reply | None = None
        """What the relay said when it first took the mail for somebody: whom it is for, if it is for them."""
        self.results: dict[str, DeliveryError | None] = {}
        """What became of each, by address: an error, or None where the mail was taken."""

    @property
    def begun(self) -> bool:
        """Whether something is settled that must not be forgotten whatever comes."""
        return bool(self.taken or self.results) and not self._recipient_waits

    @property
    def _recipient_waits(self) -> bool:
        """Whether whom it is for has not got it."""
        recipient = self._mails[0].envelope.recipient
        return bool(recipient) and recipient not in self.results

    async def run(self) -> None:
        """Ask until everybody has a result.

        Raises:
            Refusal, Stale, SMTPException, OSError, ValueError: As `Pool.carry`: nobody has the mail.
        """
        for mail in self._mails:
            waiting = mail.envelope.everyone
            while waiting:
                waiting = await self._transaction(mail, waiting)

    def give_up(self, trouble: Exception) -> None:
        """What became of all who have no result yet, when time ran out."""
        self._lost(trouble)
        for mail in self._mails:
            self._failed(mail.envelope.everyone, Unavailable(_NOT_ASKED))

    def _failed(self, addresses: Sequence[str], error: DeliveryError) -> None:
        self.results |= {each: error for each in addresses if each not in self.results}

    async def _transaction(self, mail: Mail, waiting: tuple[str, ...]) -> tuple[str, ...]:
        """Ask for as many as go together; those that are still to be asked for."""
        self._asked, self.progress = waiting[:MOST], Progress()
        try:
            reply = await self._pool.carry(mail.only(self._asked), self.progress)
        except TROUBLES as trouble:
            if not self._goes_on(trouble):
                raise
        else:
            self.taken = self.taken or reply
            self._settle(accepted=True)
        return tuple(each for each in waiting if each not in self.results)

    def _settle(self, *, accepted: bool) -> int:
        """Keep what was said of each; how many of them were refused."""
        refused, told = 0, replace(self.progress, stage=Stage.RECIPIENT)
        for address, reply in self.progress.replies.items():
            if reply.positive and accepted:
                self.results[address] = None
            elif not reply.positive and _is_final(reply):
                self.results[address] = self._explain(Refusal(reply), told)
                refused += 1
        return refused

    def _goes_on(self, trouble: Exception) -> bool:
        """Whether there is something to go on with: copies that are not asked for again, or a mail that was taken."""
        recipient, replies = self._mails[0].envelope.recipient, self.progress.replies
        among_copies = self.progress.stage is Stage.RECIPIENT and (
            not self._recipient_waits or (recipient in replies and replies[recipient].positive)
        )
        if among_copies and self._settle(accepted=False):
            return True
        if not self.begun:
            return False
        self._lost(trouble)
        return True

    def _lost(self, trouble: Exception) -> None:
        """Nothing is known of the transaction under way but whom the relay refused before it was handed over."""
        if self.progress.stage > Stage.RECIPIENT:
            self._settle(accepted=False)
        self._failed(self._asked, self._explain(trouble, self.progress))


def _is_final(reply: Reply) -> bool:
    """Whether a refusal is about this recipient: not that there are too many (RFC 5321, 4.5.3.1.10), nor a farewell."""
    if reply.code in _TOO_MANY:
        return _RECIPIENTS.search(reply.text) is None
    return reply.code != LEAVING
