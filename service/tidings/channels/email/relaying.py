"""Tracks whether the relay relays mail for us at all, judged by its replies to RCPT TO.

`Relay access denied` concerns one recipient if the relay accepts others from us, and concerns us if it accepts
none. Permission can end at any time: an account loses it, or our address leaves `mynetworks`. Postfix still
serves the open connections then, so replies on new connections count; and relays decide by domain, so a denied
domain that was accepted before counts most.
"""

from collections.abc import Callable, Iterable, Sequence
from math import inf
from time import monotonic
from typing import Final

from tidings.channels.email import reply_rules
from tidings.channels.email.connection_limits import REFUSALS
from tidings.channels.email.redaction import redact_addresses
from tidings.channels.email.replies import RelayingState, SmtpReply, Stage
from tidings.delivery.errors import Deferred, Rejected

DOUBT_THRESHOLD: Final = 3
"""Consecutive new sessions whose recipients were all denied, after which permission is doubted …"""
MAX_DOUBT_THRESHOLD: Final = 64
"""… or up to this many: doubled each time that a later session disproves the doubt, as a producer publishes
long runs of mail that can't be relayed."""
UNKNOWN_DOMAIN_WEIGHT: Final = 1 / 8
"""Weight of such a session if it was denied only domains that the relay never accepted."""
REMEMBERED_DOMAINS: Final = 10_000
"""Accepted domains that are remembered."""
GRACE: Final = 10.0
"""Seconds without an accepted recipient after which a doubt counts: until then a denied mail is only deferred
itself, as an open circuit would hold up all others."""


class RelayingHistory:
    """Accepted and denied recipients of one relay, over all its sessions.

    Args:
        clock: Seconds.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._last_accepted = -inf
        """Time of the last accepted recipient."""
        self._ever_accepted = False
        self._threshold = DOUBT_THRESHOLD
        self._doubt_count = 0.0
        self._denied_in_a_row = 0
        self._domains: dict[str, None] = {}

    @property
    def relaying(self) -> RelayingState:
        """Whether the relay relays for us."""
        if self._ever_accepted and self._doubt_count < self._threshold:
            return RelayingState.CONFIRMED
        return (
            RelayingState.DOUBTED
            if self._clock() < self._last_accepted + GRACE
            else RelayingState.UNCONFIRMED
        )

    @property
    def doubted(self) -> bool:
        """Whether a session that could relay before may no longer."""
        return self._denied_in_a_row > REFUSALS or self._doubt_count >= self._threshold

    def accepted(self, addresses: Iterable[str], *, first: bool) -> None:
        """Record recipients that were accepted, or refused for their own reasons; `first`: the session's first."""
        self._denied_in_a_row = 0
        self._last_accepted = self._clock()
        for domain in map(_domain, addresses):
            if domain not in self._domains:
                self._domains[domain] = None
                if len(self._domains) > REMEMBERED_DOMAINS:
                    del self._domains[next(iter(self._domains))]
        if not first:
            return
        self._ever_accepted = True
        if self._doubt_count >= self._threshold:
            self._threshold = min(2 * self._threshold, MAX_DOUBT_THRESHOLD)
        self._doubt_count = 0.0

    def denied(self, address: str, weight: float | None) -> float:
        """Record a denied recipient; returns the session's new weight as a doubt.

        Args:
            weight: The session's weight so far; None if it has relayed before and so is no doubt.
        """
        self._denied_in_a_row += 1
        if weight is None:
            return 0.0
        new_weight = max(
            weight, 1.0 if _domain(address) in self._domains else UNKNOWN_DOMAIN_WEIGHT
        )
        self._doubt_count += new_weight - weight
        return new_weight


class SessionRelaying:
    """Accepted and denied recipients of one session."""

    __slots__ = ("_doubt", "_history", "_relaying")

    def __init__(self, history: RelayingHistory) -> None:
        self._history = history
        self._relaying = False
        self._doubt = 0.0

    @property
    def relaying(self) -> RelayingState:
        """Whether the relay relays for us, as far as is known now."""
        return self._history.relaying

    def accepted(self, addresses: Iterable[str]) -> None:
        """Record recipients that were accepted, or refused for their own reasons."""
        first, self._relaying = not self._relaying, True
        self._history.accepted(addresses, first=first)

    def refused(self, stage: Stage, reply: SmtpReply, addresses: Sequence[str]) -> bool:
        """Record that no recipient was accepted; whether that counts only if a new session is refused too.

        Args:
            addresses: The mail's, redacted from the reply: a word in one could match a rule.
        """
        if stage is not Stage.RECIPIENT:
            return False
        diagnosis = reply_rules.refusal(
            stage, SmtpReply(reply.code, redact_addresses(reply.text, addresses))
        )
        if issubclass(diagnosis.error, Rejected | Deferred):
            self.accepted(addresses[:1])
        return diagnosis.doubtful and self._relaying_denied(addresses[0])

    def _relaying_denied(self, address: str) -> bool:
        self._doubt = self._history.denied(address, None if self._relaying else self._doubt)
        return self._relaying and self._history.doubted


def _domain(address: str) -> str:
    return address.rpartition("@")[2].lower()
