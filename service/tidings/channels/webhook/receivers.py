"""Decides whether a receiver may be asked now, by how it and others have answered so far. Pure.

All receivers share one channel and its places. Those of a worker are for receivers that answer soon. Whatever
is sent to others takes none: it goes aside, where there is room for a few of each, and where there is not, it
waits in a retry queue. The first webhook to a receiver of which nothing is known has a room of its own. So what
a receiver does not answer, it keeps from itself, and at most from others of which nothing is known either.
"""

import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from math import inf
from time import monotonic
from typing import Final

from tidings.channels.webhook.deferrals import Returns
from tidings.channels.webhook.requests import SOON, Receiver, Room, Turn

CREDIT: Final = 5
"""So many answers in time make up for as many that were late."""
REMEMBERED: Final = 10_000
"""Receivers of which something is known: the last that were asked."""
LONGEST_REST: Final = 60
"""A receiver that leaves everything unanswered rests longer and longer: up to so many times as at first."""
SLOW_SHARE: Final = 0.75
"""Share of the room aside that receivers known to be slow may fill: the rest is for those not known yet."""
OVERFLOW: Final = 2
"""So many times the room may be aside, where receivers that answered soon do not any more: nobody else is asked then."""
NEWEST: Final = 0.2
"""Share of the last answer in what is known of how long a receiver takes."""


class Answer(Enum):
    """What came of asking."""

    ANSWERED = auto()
    """Whatever it said."""
    UNANSWERED = auto()
    WITHDRAWN = auto()
    """We know nothing: it was cut off by us."""


class Verdict(Enum):
    """Whether a receiver may be asked now."""

    ASK = auto()
    """Yes, in the place of whoever asks."""
    ASK_ASIDE = auto()
    """Yes, and the place is for others."""
    TRY = auto()
    """Likewise, as the first: nothing is known of it."""
    PROBE = auto()
    """Likewise, to see whether it answers again."""
    WAIT = auto()
    """Not before others have ended: it is not known yet, and there is no room."""
    PUT_OFF = auto()
    """No; see `Receivers.deferred`."""


@dataclass(frozen=True, slots=True)
class Deferral:
    """What is to become of one that may not be asked now."""

    wait: float
    """Seconds until it is worth while to ask again."""
    answers: bool = False
    """Whether its receiver answers, if slowly: its turn will come."""
    no_later: bool = False
    """Whether it should come back as soon as that, for it may be its turn; else no sooner."""


class Receivers:
    """Who answers soon, who does not, and who has not lately.

    Args:
        room: How many may be aside at once.
        tries: How many may be aside beside them that are the first to their receivers.
        most: Requests in a row left unanswered after which a receiver rests; 0: it never does.
        rest: Seconds for which it does so at first.
        waits: Seconds for which one may be put off, the shortest first.
        clock: Seconds.
        soon: Seconds within which a receiver answers that takes nobody's place.
    """

    def __init__(
        self,
        room: int,
        tries: int,
        most: int,
        rest: float,
        waits: Sequence[float],
        clock: Callable[[], float] = monotonic,
        soon: float = SOON,
    ) -> None:
        self._room = Room(room)
        self._tries = Room(tries)
        self._probes = Room(max(1, room // 2))
        """For those that left everything unanswered: however many come due together, they take nobody else's."""
        self._try_takes = soon
        self._untried = Returns(waits)
        self._waits = waits
        self._most = most
        self._rest = rest
        self._clock = clock
        self.soon = soon
        self._known: OrderedDict[str, Receiver] = OrderedDict()
        self._in_places = 0
        self._full_since = inf

    @property
    def full(self) -> bool:
        """Whether nobody more may be asked aside."""
        return self._room.used >= self._room.most

    def verdict(self, where: str, size: int) -> Verdict:
        """Whether the receiver there may be asked now, with a body of so many bytes.

        Args:
            where: Its `origin`.
        """
        receiver = self._known.get(where) or Receiver(where)
        if self._silent(receiver):
            due = not receiver.under_way and self._clock() >= receiver.rests_until
            return Verdict.PROBE if due and self._probes.fits(size) else Verdict.PUT_OFF
        untried = receiver.unknown and not receiver.under_way
        if untried and self._tries.fits(size):
            return Verdict.TRY
        if self.full and (receiver.late or self._doubtful(receiver)):
            return Verdict.PUT_OFF
        if receiver.credit > 0:
            return Verdict.ASK
        slow = receiver.credit < 0
        room = int(self._room.most * SLOW_SHARE) if slow else self._room.most
        # What one may have shrinks with what all have: half of the room, where nobody else is asked. All that
        # the slow may have is for one that answers, and is alone.
        alone = self._answers(receiver) and receiver.aside == self._room.used
        share = room if alone else max(1, room - self._room.used)
        if receiver.aside < share and self._room.fits(size, room):
            return Verdict.ASK_ASIDE
        return Verdict.PUT_OFF if slow else Verdict.WAIT

    def deferred(self, where: str) -> Deferral:
        """For how long to put off one that may not be asked now."""
        receiver, now = self._known.get(where) or Receiver(where), self._clock()
        if self._silent(receiver):
            return Deferral(max(self._rest, receiver.rests_until - now))
        answers = self._answers(receiver)
        if not answers and receiver.unanswered:
            return Deferral(0.0)
        if not receiver.under_way:  # for want of room, it has not been tried
            each = self._try_takes / max(1, self._tries.most)
            return Deferral(self._untried.deferred(now, each), answers, no_later=True)
        receiver.returns = receiver.returns or Returns(self._waits)
        # One that never answered will take at least as long as it has taken already.
        takes = receiver.takes if answers else max(receiver.takes, now - receiver.tried)
        wait = receiver.returns.deferred(now, takes / receiver.under_way)
        return Deferral(wait, answers, no_later=True)

    def begin(self, where: str, size: int, verdict: Verdict) -> Turn:
        """It is asked, as the verdict was."""
        receiver = self._known.get(where)
        if receiver is None:
            receiver = self._known[where] = Receiver(where)
        self._known.move_to_end(where)
        if not receiver.under_way:
            receiver.tried = self._clock()
        receiver.under_way += 1
        if len(self._known) > REMEMBERED:
            self._forget_the_oldest()
        turn = Turn(receiver, size, self._clock())
        match verdict:
            case Verdict.TRY | Verdict.PROBE:
                turn.room = self._tries if verdict is Verdict.TRY else self._probes
                turn.room.enter(size)
            case Verdict.ASK_ASIDE:
                self._put_aside(turn)
            case _:
                self._in_places += 1
        return turn

    def late(self, turn: Turn) -> bool:
        """It has not answered soon; whether the request goes aside because of that."""
        receiver = turn.receiver
        turn.late = True
        receiver.late += 1
        # However well it has answered: where many fall silent together, each would take a place for every answer.
        receiver.credit = min(receiver.credit, 1)
        self._count(receiver, -1)
        if turn.aside or self._room.used >= OVERFLOW * self._room.most:
            return False
        self._in_places -= 1
        self._put_aside(turn)
        return True

    def end(self, turn: Turn, answer: Answer) -> None:
        """Learn what came of it."""
        receiver = turn.receiver
        receiver.under_way -= 1
        receiver.late -= turn.late
        self._leave(turn)
        match answer:
            case Answer.ANSWERED:
                receiver.unanswered = receiver.rests = 0
                receiver.answered = True
                took = self._clock() - turn.began
                receiver.takes += NEWEST * (took - receiver.takes)
                if took < self.soon:
                    receiver.proved = self._clock()
                    self._count(receiver, 1)
            case Answer.UNANSWERED:
                receiver.unanswered += 1
                if self._silent(receiver) and self._clock() >= receiver.rests_until:
                    longer = min(2.0**receiver.rests, LONGEST_REST)
                    receiver.rests_until = self._clock() + self._rest * longer
                    receiver.rests = min(receiver.rests + 1, 20)
            case Answer.WITHDRAWN:
                pass
        if turn.room is self._tries and answer is not Answer.WITHDRAWN:
            self._try_takes += NEWEST * (self._clock() - turn.began - self._try_takes)
        forgettable = receiver.unknown and not receiver.under_way
        if forgettable and self._known.get(receiver.where) is receiver:
            del self._known[receiver.where]

    def _forget_the_oldest(self) -> None:
        """Never one that is being asked: its requests would count for nobody."""
        idle = (where for where, receiver in self._known.items() if not receiver.under_way)
        if (oldest := next(idle, None)) is not None:
            del self._known[oldest]

    def _answers(self, receiver: Receiver) -> bool:
        """Whether it has answered, and goes on to, now and then at least."""
        return receiver.answered and receiver.unanswered < (self._most or CREDIT)

    def _doubtful(self, receiver: Receiver) -> bool:
        """Whether it may have fallen silent along with those that fill the room, and there would be none for its
        request if it turned out late."""
        proved = receiver.proved >= self._full_since
        return not proved and self._room.used + self._in_places >= OVERFLOW * self._room.most

    def _silent(self, receiver: Receiver) -> bool:
        return 0 < self._most <= receiver.unanswered

    def _put_aside(self, turn: Turn) -> None:
        turn.room = self._room
        turn.room.enter(turn.size)
        turn.receiver.aside += 1
        if self._room.used == self._room.most:
            self._full_since = self._clock()

    def _leave(self, turn: Turn) -> None:
        if turn.room is None:
            self._in_places -= 1
        else:
            turn.room.leave(turn.size)
        if turn.room is self._room:
            turn.receiver.aside -= 1

    def _count(self, receiver: Receiver, more: int) -> None:
        receiver.credit = max(-CREDIT, min(receiver.credit + more, CREDIT))


def origin(url: str) -> str:
    """Scheme, host and port as they are requested, in one spelling: whether they are any is for others to say.

    Names of one address are receivers of their own: thousands may stand behind one.
    """
    scheme, _, rest = url.partition("://")
    scheme, host = scheme.lower(), re.split(r"[/?#]", rest, maxsplit=1)[0].lower()
    usual = {"http": ":80", "https": ":443"}.get(scheme, ":")
    return f"{scheme}://{host.removesuffix(usual).rstrip('.')}"
