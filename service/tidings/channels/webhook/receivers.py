"""Decides whether a webhook may be sent to a receiver now, by how receivers responded so far. Pure.

All receivers share the channel's concurrency slots, which are for fast receivers. A webhook to any other receiver
holds no slot: it goes into a bulkhead with room for a few of each receiver, or, if that is full, waits in a retry
queue. First webhooks to untested receivers have a bulkhead of their own. So a receiver that does not respond delays
only its own webhooks, and at most those to other untested receivers.
"""

import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from math import inf
from time import monotonic
from typing import Final

from tidings.channels.webhook.postponements import PostponementSchedule
from tidings.channels.webhook.requests import SOON, Bulkhead, Receiver, ReceiverRequest

CREDIT: Final = 5
"""Fast responses that make up for as many late ones."""
REMEMBERED: Final = 10_000
"""Receivers remembered: those that were sent to last."""
LONGEST_PAUSE: Final = 60
"""The pause of a receiver that doesn't respond grows up to this many times its first length."""
SLOW_SHARE: Final = 0.75
"""Share of the bulkhead that receivers known to be slow may use; the rest is for untested ones."""
OVERFLOW: Final = 2
"""The bulkhead may be exceeded up to this many times if fast receivers become slow; nothing else is sent then."""
NEWEST: Final = 0.2
"""Weight of the last response in a receiver's average response time."""


class Answer(Enum):
    """How a request ended."""

    ANSWERED = auto()
    """With a response of any status."""
    UNANSWERED = auto()
    WITHDRAWN = auto()
    """Unknown: we cancelled it."""


class Decision(Enum):
    """Whether a webhook may be sent to a receiver now."""

    SEND = auto()
    """Yes, holding its concurrency slot."""
    SEND_ASIDE = auto()
    """Yes, in the bulkhead, and its concurrency slot is released."""
    TRY = auto()
    """Yes, without a slot, as the first to an untested receiver."""
    PROBE = auto()
    """Yes, without a slot, to test whether the receiver responds again."""
    WAIT = auto()
    """Not before others have ended: the receiver is untested, and the bulkhead is full."""
    POSTPONE = auto()
    """No; see `Receivers.postponed`."""


@dataclass(frozen=True, slots=True)
class Postponement:
    """How to postpone a webhook that may not be sent now."""

    wait: float
    """Seconds until it may be sent."""
    answers: bool = False
    """Whether its receiver responds, if slowly, so that it will be sent in the end."""
    no_later: bool = False
    """Whether it should return after `wait` seconds at the latest; otherwise at the earliest."""


class Receivers:
    """What is known of each receiver: whether it responds fast, slowly, or not at all.

    Args:
        room: Size of the bulkhead for slow receivers.
        tries: Size of the bulkhead for first requests to untested receivers.
        most: Unanswered requests in a row after which a receiver is paused; 0: never.
        pause: Seconds of the first pause.
        waits: Delays of the retry queues, in seconds, the shortest first.
        clock: Seconds.
        soon: Seconds in which a fast receiver responds.
    """

    def __init__(
        self,
        room: int,
        tries: int,
        most: int,
        pause: float,
        waits: Sequence[float],
        clock: Callable[[], float] = monotonic,
        soon: float = SOON,
    ) -> None:
        self._room = Bulkhead(room)
        self._tries = Bulkhead(tries)
        self._probes = Bulkhead(max(1, room // 2))
        """For receivers that don't respond: many probes due at once use no other capacity."""
        self._try_takes = soon
        self._untried = PostponementSchedule(waits)
        self._waits = waits
        self._most = most
        self._pause = pause
        self._clock = clock
        self.soon = soon
        self._known: OrderedDict[str, Receiver] = OrderedDict()
        self._in_slots = 0
        self._full_since = inf

    @property
    def full(self) -> bool:
        """Whether the bulkhead is full."""
        return self._room.used >= self._room.most

    def decide(self, origin: str, size: int) -> Decision:
        """Whether a webhook of `size` bytes may be sent to the receiver at this origin now."""
        receiver = self._known.get(origin) or Receiver(origin)
        if self._silent(receiver):
            due = not receiver.under_way and self._clock() >= receiver.paused_until
            return Decision.PROBE if due and self._probes.fits(size) else Decision.POSTPONE
        untried = receiver.untested and not receiver.under_way
        if untried and self._tries.fits(size):
            return Decision.TRY
        if self.full and (receiver.late or self._doubtful(receiver)):
            return Decision.POSTPONE
        if receiver.credit > 0:
            return Decision.SEND
        slow = receiver.credit < 0
        room = int(self._room.most * SLOW_SHARE) if slow else self._room.most
        # A receiver's share shrinks as the bulkhead fills: alone, it gets half of it. One that responds
        # and is alone gets the whole share of slow receivers.
        alone = self._answers(receiver) and receiver.aside == self._room.used
        share = room if alone else max(1, room - self._room.used)
        if receiver.aside < share and self._room.fits(size, room):
            return Decision.SEND_ASIDE
        return Decision.POSTPONE if slow else Decision.WAIT

    def postponed(self, origin: str) -> Postponement:
        """How to postpone a webhook to this origin that may not be sent now."""
        receiver, now = self._known.get(origin) or Receiver(origin), self._clock()
        if self._silent(receiver):
            return Postponement(max(self._pause, receiver.paused_until - now))
        answers = self._answers(receiver)
        if not answers and receiver.unanswered:
            return Postponement(0.0)
        if not receiver.under_way:  # the bulkhead is full, and the receiver is untested
            each = self._try_takes / max(1, self._tries.most)
            return Postponement(self._untried.postponed(now, each), answers, no_later=True)
        receiver.schedule = receiver.schedule or PostponementSchedule(self._waits)
        # A receiver that never responded will take at least as long as it has taken already.
        takes = receiver.takes if answers else max(receiver.takes, now - receiver.tried)
        wait = receiver.schedule.postponed(now, takes / receiver.under_way)
        return Postponement(wait, answers, no_later=True)

    def begin(self, origin: str, size: int, decision: Decision) -> ReceiverRequest:
        """Record that a request is sent, as decided."""
        receiver = self._known.get(origin)
        if receiver is None:
            receiver = self._known[origin] = Receiver(origin)
        self._known.move_to_end(origin)
        if not receiver.under_way:
            receiver.tried = self._clock()
        receiver.under_way += 1
        if len(self._known) > REMEMBERED:
            self._forget_the_oldest()
        request = ReceiverRequest(receiver, size, self._clock())
        match decision:
            case Decision.TRY | Decision.PROBE:
                request.room = self._tries if decision is Decision.TRY else self._probes
                request.room.enter(size)
            case Decision.SEND_ASIDE:
                self._move_aside(request)
            case _:
                self._in_slots += 1
        return request

    def late(self, request: ReceiverRequest) -> bool:
        """Record a late response; whether the request now moves to the bulkhead."""
        receiver = request.receiver
        request.late = True
        receiver.late += 1
        # Despite earlier fast responses: if many receivers hang at once, each would use a slot for each of them.
        receiver.credit = min(receiver.credit, 1)
        self._count(receiver, -1)
        if request.aside or self._room.used >= OVERFLOW * self._room.most:
            return False
        self._in_slots -= 1
        self._move_aside(request)
        return True

    def end(self, request: ReceiverRequest, answer: Answer) -> None:
        """Record how a request ended."""
        receiver = request.receiver
        receiver.under_way -= 1
        receiver.late -= request.late
        self._leave(request)
        match answer:
            case Answer.ANSWERED:
                receiver.unanswered = receiver.pauses = 0
                receiver.answered = True
                took = self._clock() - request.began
                receiver.takes += NEWEST * (took - receiver.takes)
                if took < self.soon:
                    receiver.proved = self._clock()
                    self._count(receiver, 1)
            case Answer.UNANSWERED:
                receiver.unanswered += 1
                if self._silent(receiver) and self._clock() >= receiver.paused_until:
                    longer = min(2.0**receiver.pauses, LONGEST_PAUSE)
                    receiver.paused_until = self._clock() + self._pause * longer
                    receiver.pauses = min(receiver.pauses + 1, 20)
            case Answer.WITHDRAWN:
                pass
        if request.room is self._tries and answer is not Answer.WITHDRAWN:
            self._try_takes += NEWEST * (self._clock() - request.began - self._try_takes)
        forgettable = receiver.untested and not receiver.under_way
        if forgettable and self._known.get(receiver.origin) is receiver:
            del self._known[receiver.origin]

    def _forget_the_oldest(self) -> None:
        """Never one with requests under way: their results would be lost."""
        idle = (origin for origin, receiver in self._known.items() if not receiver.under_way)
        if (oldest := next(idle, None)) is not None:
            del self._known[oldest]

    def _answers(self, receiver: Receiver) -> bool:
        """Whether it has responded before, and still does at least now and then."""
        return receiver.answered and receiver.unanswered < (self._most or CREDIT)

    def _doubtful(self, receiver: Receiver) -> bool:
        """Whether it may have stopped responding along with those that fill the bulkhead, and its request
        would not fit if it became late."""
        proved = receiver.proved >= self._full_since
        return not proved and self._room.used + self._in_slots >= OVERFLOW * self._room.most

    def _silent(self, receiver: Receiver) -> bool:
        return 0 < self._most <= receiver.unanswered

    def _move_aside(self, request: ReceiverRequest) -> None:
        request.room = self._room
        request.room.enter(request.size)
        request.receiver.aside += 1
        if self._room.used == self._room.most:
            self._full_since = self._clock()

    def _leave(self, request: ReceiverRequest) -> None:
        if request.room is None:
            self._in_slots -= 1
        else:
            request.room.leave(request.size)
        if request.room is self._room:
            request.receiver.aside -= 1

    def _count(self, receiver: Receiver, more: int) -> None:
        receiver.credit = max(-CREDIT, min(receiver.credit + more, CREDIT))


def origin_of(url: str) -> str:
    """Scheme, host and port of a URL, normalised but not validated.

    Several names of one address are separate receivers: one address may serve thousands.
    """
    scheme, _, rest = url.partition("://")
    scheme, host = scheme.lower(), re.split(r"[/?#]", rest, maxsplit=1)[0].lower()
    usual = {"http": ":80", "https": ":443"}.get(scheme, ":")
    return f"{scheme}://{host.removesuffix(usual).rstrip('.')}"
