"""Holds ledger and queues against each other: is anything lost, or in a state that can't be?"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from tidings.broker.topology.layout import DEAD, PRIORITIES, lane_queue
from tidings.broker.topology.management import Management
from tidings.delivery.attempt import Lane
from tidings.delivery.errors import BrokerUnavailable
from tidings.delivery.states import UNFINISHED, State
from tidings.ledger.operators.audit import JournalFindings, LedgerFindings, Violation
from tidings.ledger.steps import PATIENCE
from tidings.operations.backend import Backend
from tidings.operations.channels import ChannelStatus, conditions
from tidings.operations.times import counted
from tidings.operations.waiting import not_delivering
from tidings.settings import Settings

__all__ = ["AuditRequest", "AuditView", "JournalFindings", "Violation", "audit"]

SETTLED: Final = 20.0
"""Seconds: the management API's numbers may be ten seconds old, and a message takes its time."""
LOOKS: Final = 3
"""A message on its way from one queue to the next may be missed by one look, hardly by three."""
PAUSE: Final = 2.0

Held = Mapping[str, int]
"""Messages in each queue, ready or not."""
Progress = Callable[[int, datetime | None], None]
"""Told how many were looked at, and since when all of them were."""


@dataclass(frozen=True, slots=True)
class AuditRequest:
    """How much to look at."""

    since: datetime | None = None
    """Only what was accepted since then."""
    whole: bool = False
    """All there are, not only the newest that can be looked at in a moment."""
    ended: bool = False
    """Nothing may be under way any more, and no queue hold anything; looks at all there are."""
    journal: Sequence[UUID] | None = None
    """Ids that were confirmed to a producer."""

    @property
    def patience(self) -> float | None:
        """Seconds, about, for which to look at the newest; None for all of it."""
        return None if self.since or self.whole or self.ended else PATIENCE


@dataclass(frozen=True, slots=True)
class AuditView:
    """What is known, and what is wrong with it."""

    states: Mapping[State, int]
    queues: Held | None
    """None if the management API did not answer."""
    journal: JournalFindings | None
    violations: tuple[Violation, ...]
    without_id: int = 0
    """Dead letters out of whose bodies no id can be read."""
    unchecked: tuple[str, ...] = ()
    """Rules that could not be tried, and why."""
    stalled: tuple[str, ...] = ()
    """Channels that deliver nothing while messages wait in their queues, and why: nothing is lost by that."""
    searched_since: datetime | None = None
    """What was accepted before was not looked at."""

    def as_data(self) -> dict[str, Any]:
        """For other programs."""
        return {
            "passed": not self.violations and not self.unchecked,
            "states": dict(self.states),
            "queues": self.queues,
            "journal": _journal_as_data(self.journal),
            "dead_letters_without_id": self.without_id,
            "violations": [asdict(violation) for violation in self.violations],
            "unchecked": self.unchecked,
            "stalled": self.stalled,
            "searched_since": self.searched_since,
        }


def _journal_as_data(journal: JournalFindings | None) -> dict[str, Any] | None:
    if journal is None:
        return None
    return {
        "states": dict(journal.states),
        "dead_letters": journal.dead_letters,
        "unknown": len(journal.unknown),
    }


async def audit(
    backend: Backend, request: AuditRequest, progress: Progress = lambda *_: None
) -> AuditView:
    """Look until nothing is missing, or often enough to be sure that it is."""
    for _ in range(LOOKS - 1):
        view = await _look(backend, request, progress)
        if not view.violations:
            return view
        await asyncio.sleep(PAUSE)
    return await _look(backend, request, progress)


async def _look(backend: Backend, request: AuditRequest, progress: Progress) -> AuditView:
    """The queues first: what is under way later was in one of them then."""
    held, fault = await _held(backend.settings)
    findings = await backend.ledger.audit.examine(
        request.since, SETTLED, patience=request.patience, progress=progress
    )
    journal = (
        None if request.journal is None else await backend.ledger.audit.journaled(request.journal)
    )
    view = AuditView(
        findings.states,
        held,
        journal,
        findings.violations,
        findings.without_id,
        searched_since=findings.searched_since,
    )
    if held is None:
        return replace(view, unchecked=tuple(_untried(fault, journal, ended=request.ended)))
    messages = _by_channel(held)
    if any(held.values()):
        stalled = _stalled(await conditions(backend), messages, datetime.now(UTC))
        view = replace(view, stalled=tuple(stalled))
    over = _left(findings, held) if request.ended else ()
    lost, doubt = (None, None) if journal is None else _lost(journal, held, findings.without_id)
    missing = _missing(findings, messages, held.get(DEAD, 0))
    violations = (*view.violations, *missing, *([lost] if lost else []), *over)
    return replace(view, violations=violations, unchecked=(doubt,) if doubt else ())


def _untried(fault: str, journal: JournalFindings | None, *, ended: bool) -> Iterator[str]:
    """The rules that can't be tried without the queues."""
    yield f"the queues could not be looked at, so it is not known whether anything is lost: {fault}"
    yield "not tried: what is under way has a message in a queue"
    yield "not tried: what failed has its dead letter, or that is in its queue"
    if journal is not None:
        yield "not tried: what the journal names is in the ledger, or in a lane"
    if ended:
        yield "not tried: nothing is under way, and every queue is empty"


async def _held(settings: Settings) -> tuple[Held | None, str]:
    try:
        listed = await Management.of(settings.broker).queues()
    except BrokerUnavailable as error:
        return None, str(error)
    return {
        queue.name: queue.messages or 0 for queue in listed if queue.name.startswith("tidings.")
    }, ""


def _by_channel(held: Held) -> Counter[str]:
    """Messages in all queues of each channel."""
    messages: Counter[str] = Counter()
    for name, count in held.items():
        if name.count(".") >= 2:
            messages[name.split(".")[1]] += count
    return messages


def _stalled(
    known: Sequence[ChannelStatus], messages: Counter[str], now: datetime
) -> Iterator[str]:
    """Which channels deliver nothing, though there is something in their queues."""
    for channel in (status for status in known if not status.provider):
        if count := messages[channel.channel]:
            for why in not_delivering([channel], now):
                yield f"{why}; {counted(count, 'message')} in its queues"


def _missing(findings: LedgerFindings, messages: Counter[str], dead: int) -> Iterator[Violation]:
    """What must have a message in a queue, and more of it than there are messages."""
    for channel, waiting in findings.waiting.items():
        if (lapsed := waiting.lapsed - messages[channel]) > 0:
            rule = f"{channel}: under a lease that ran out, and no message is left to take it over"
            yield Violation(rule, lapsed)
        if (under_way := waiting.under_way - messages[channel]) > 0:
            rule = (
                f"{channel}: under way by the ledger, and no message is in any queue of its channel"
            )
            yield Violation(rule, under_way)
    if findings.unarchived is not None and (short := findings.unarchived.count - dead) > 0:
        yield replace(findings.unarchived, count=short)


def _lost(
    journal: JournalFindings, held: Held, without_id: int
) -> tuple[Violation | None, str | None]:
    """What was confirmed and is nowhere; or may be among dead letters of which nobody can tell whose they are."""
    missed = len(journal.unknown) - _in_lanes(held)
    if missed > without_id:
        rule = "confirmed by the journal, and neither in the ledger nor in a lane"
        examples = tuple(str(id) for id in journal.unknown[:5])
        return Violation(rule, missed - without_id, examples), None
    if missed > 0:
        return None, (
            f"{missed:,} of the journal are neither in the ledger nor in a lane, and may be among the {without_id:,} dead "
            f"dead letters without an id, e.g. {journal.unknown[0]}: `tidings dead list --reason malformed --reveal`"
        )
    return None, None


def _in_lanes(held: Held) -> int:
    channels = {name.split(".")[1] for name in held if name.count(".") >= 2}
    lanes = (lane_queue(Lane(channel, priority)) for channel in channels for priority in PRIORITIES)
    return sum(held.get(lane, 0) for lane in lanes) + held.get(DEAD, 0)


def _left(findings: LedgerFindings, held: Held) -> Iterator[Violation]:
    """What may not be there where everything should have ended."""
    if under_way := sum(findings.states.get(state, 0) for state in UNFINISHED):
        yield Violation("still under way", under_way)
    if full := sorted(name for name, messages in held.items() if messages):
        yield Violation("messages left in a queue", sum(held[name] for name in full), tuple(full))
