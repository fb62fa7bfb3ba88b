"""Whether the relay passes mail on for us at all, as far as its replies to recipients show.

`Relay access denied` is about one recipient where the relay takes others from us, and about us where it takes
nobody. It may stop taking them at any time: an account loses the right to relay, our address leaves `mynetworks`.
Postfix then still serves the connections that it has, so what counts is what new ones meet; and what a relay passes
on goes by domain, so what counts most is a domain that it has taken.
"""

from collections.abc import Callable, Iterable, Sequence
from math import inf
from time import monotonic
from typing import Final

from tidings.channels.email import reply_rules
from tidings.channels.email.connection_limits import REFUSALS
from tidings.channels.email.redaction import addressless
from tidings.channels.email.replies import Reply, Stage, Welcome
from tidings.delivery.errors import Deferred, Rejected

DOUBTS: Final = 3
"""New logins in a row whose recipients were all denied, after which it is doubted …"""
MOST_DOUBTS: Final = 64
"""… or up to so many: twice as many each time that a later login found it otherwise, as somebody publishes
long runs of mail that can't be relayed."""
STRANGE: Final = 1 / 8
"""What such a login counts where it was denied only domains that the relay never took."""
DOMAINS: Final = 10_000
"""Domains that it took, remembered."""
LATELY: Final = 10.0
"""Seconds without anybody taken, after which a doubt is believed: until then a denied mail is put off for itself
alone, as a circuit that opens keeps others waiting."""


class Standing:
    """What the logins of one relay have met.

    Args:
        clock: Seconds.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._last = -inf
        """When it last took somebody."""
        self._known = False
        self._patience = DOUBTS
        self._doubts = 0.0
        self._row = 0
        self._domains: dict[str, None] = {}

    @property
    def welcome(self) -> Welcome:
        """Whether it passes mail on for us."""
        if self._known and self._doubts < self._patience:
            return Welcome.YES
        return Welcome.DOUBTED if self._clock() < self._last + LATELY else Welcome.NO

    @property
    def doubted(self) -> bool:
        """Whether a login that was welcome once may not be any more."""
        return self._row > REFUSALS or self._doubts >= self._patience

    def accepted(self, addresses: Iterable[str], *, first: bool) -> None:
        """It took a recipient, or refused one for the recipient's own sake; the first of its login, or not."""
        self._row = 0
        self._last = self._clock()
        for domain in map(_domain, addresses):
            if domain not in self._domains:
                self._domains[domain] = None
                if len(self._domains) > DOMAINS:
                    del self._domains[next(iter(self._domains))]
        if not first:
            return
        self._known = True
        if self._doubts >= self._patience:
            self._patience = min(2 * self._patience, MOST_DOUBTS)
        self._doubts = 0.0

    def denied(self, address: str, counted: float | None) -> float:
        """It does not pass mail on to a recipient; what the login counts as a doubt.

        Args:
            counted: What it counted so far; None where it is welcome, and no doubt.
        """
        self._row += 1
        if counted is None:
            return 0.0
        counts = max(counted, 1.0 if _domain(address) in self._domains else STRANGE)
        self._doubts += counts - counted
        return counts


class Login:
    """What one connection has met."""

    __slots__ = ("_doubt", "_standing", "_welcome")

    def __init__(self, standing: Standing) -> None:
        self._standing = standing
        self._welcome = False
        self._doubt = 0.0

    @property
    def welcome(self) -> Welcome:
        """Whether the relay passes mail on for us, by all that is known now."""
        return self._standing.welcome

    def accepted(self, addresses: Iterable[str]) -> None:
        """The relay took recipients, or refused one for the recipient's own sake."""
        first, self._welcome = not self._welcome, True
        self._standing.accepted(addresses, first=first)

    def refused(self, stage: Stage, reply: Reply, addresses: Sequence[str]) -> bool:
        """It took nobody; whether a new login is to be asked before that is believed.

        Args:
            addresses: Of the mail: one may hold a word that says something else in a reply.
        """
        if stage is not Stage.RECIPIENT:
            return False
        reading = reply_rules.refusal(stage, Reply(reply.code, addressless(reply.text, addresses)))
        if issubclass(reading.error, Rejected | Deferred):
            self.accepted(addresses[:1])
        return reading.doubtful and self._relaying_denied(addresses[0])

    def _relaying_denied(self, address: str) -> bool:
        self._doubt = self._standing.denied(address, None if self._welcome else self._doubt)
        return self._welcome and self._standing.doubted


def _domain(address: str) -> str:
    return address.rpartition("@")[2].lower()
