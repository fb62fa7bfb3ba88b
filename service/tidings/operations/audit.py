"""`audit`: compares ledger, queues and a producer's journal, and reports what is lost or inconsistent."""

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
"""Seconds: the management API's numbers may be ten seconds old, and a message needs time to arrive."""
READINGS: Final = 3
"""One reading may miss a message that moves between two queues; three hardly do."""
PAUSE: Final = 2.0

Held = Mapping[str, int]
"""Messages in each queue, ready and unacknowledged."""
Progress = Callable[[int, datetime | None], None]
"""Called with the number checked, and the time since which all are checked."""


@dataclass(frozen=True, slots=True)
class AuditRequest:
    """What to compare."""

    since: datetime | None = None
    """Only notifications accepted since then."""
    full_scan: bool = False
    """All notifications, not only the newest that can be checked in half a second."""
    require_idle: bool = False
    """Also require that nothing is in progress and every queue is empty; checks all notifications."""
    journal: Sequence[UUID] | None = None
    """Ids that RabbitMQ confirmed to a producer."""

    @property
    def patience(self) -> float | None:
        """Seconds, about, for which to check the newest; None for no limit."""
        return None if self.since or self.full_scan or self.require_idle else PATIENCE


@dataclass(frozen=True, slots=True)
class AuditView:
    """Counts, and what is lost or inconsistent."""

    states: Mapping[State, int]
    queues: Held | None
    """None if the management API did not answer."""
    journal: JournalFindings | None
    violations: tuple[Violation, ...]
    without_id: int = 0
    """Dead letters from whose bodies no id can be read."""
    unchecked: tuple[str, ...] = ()
    """Rules that could not be checked, and why."""
    stalled: tuple[str, ...] = ()
    """Channels that deliver nothing while messages wait in their queues, and why; nothing is lost."""
    searched_since: datetime | None = None
    """Notifications accepted earlier were not checked; None if all were."""

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
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
    """Compare until no rule is violated, or often enough to be sure."""
    for _ in range(READINGS - 1):
        view = await _compare(backend, request, progress)
        if not view.violations:
            return view
        await asyncio.sleep(PAUSE)
    return await _compare(backend, request, progress)


async def _compare(backend: Backend, request: AuditRequest, progress: Progress) -> AuditView:
    """The queues first: a message that is in progress later was in one of them then."""
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
        return replace(
            view, unchecked=tuple(_unchecked(fault, journal, require_idle=request.require_idle))
        )
    messages = _by_channel(held)
    if any(held.values()):
        stalled = _stalled(await conditions(backend), messages, datetime.now(UTC))
        view = replace(view, stalled=tuple(stalled))
    over = _left(findings, held) if request.require_idle else ()
    lost, doubt = (None, None) if journal is None else _lost(journal, held, findings.without_id)
    missing = _missing(findings, messages, held.get(DEAD, 0))
    violations = (*view.violations, *missing, *([lost] if lost else []), *over)
    return replace(view, violations=violations, unchecked=(doubt,) if doubt else ())


def _unchecked(fault: str, journal: JournalFindings | None, *, require_idle: bool) -> Iterator[str]:
    """The rules that can't be checked without the queues."""
    yield f"the queues could not be read, so lost messages can't be detected: {fault}"
    yield "not checked: every notification in progress has a message in a queue"
    yield "not checked: every failed notification has a dead letter, archived or in the dead-letter queue"
    if journal is not None:
        yield "not checked: every id of the journal is in the ledger or in a lane"
    if require_idle:
        yield "not checked: nothing is in progress, and every queue is empty"


async def _held(settings: Settings) -> tuple[Held | None, str]:
    try:
        listed = await Management.of(settings.broker).queues()
    except BrokerUnavailable as error:
        return None, str(error)
    return {
        queue.name: queue.messages or 0 for queue in listed if queue.name.startswith("tidings.")
    }, ""


def _by_channel(held: Held) -> Counter[str]:
    """Messages by channel."""
    messages: Counter[str] = Counter()
    for name, count in held.items():
        if name.count(".") >= 2:
            messages[name.split(".")[1]] += count
    return messages


def _stalled(
    known: Sequence[ChannelStatus], messages: Counter[str], now: datetime
) -> Iterator[str]:
    """Channels that deliver nothing though messages wait in their queues."""
    for channel in (status for status in known if not status.provider):
        if count := messages[channel.channel]:
            for why in not_delivering([channel], now):
                yield f"{why}; {counted(count, 'message')} in its queues"


def _missing(findings: LedgerFindings, messages: Counter[str], dead: int) -> Iterator[Violation]:
    """Notifications that need a message in a queue, if there are fewer messages."""
    for channel, waiting in findings.waiting.items():
        if (lapsed := waiting.lapsed - messages[channel]) > 0:
            rule = f"{channel}: lease expired, but no message is left to continue it"
            yield Violation(rule, lapsed)
        if (under_way := waiting.under_way - messages[channel]) > 0:
            rule = f"{channel}: in progress, but no message is in any queue of the channel"
            yield Violation(rule, under_way)
    if findings.unarchived is not None and (short := findings.unarchived.count - dead) > 0:
        yield replace(findings.unarchived, count=short)


def _lost(
    journal: JournalFindings, held: Held, without_id: int
) -> tuple[Violation | None, str | None]:
    """Ids that were confirmed and are lost; or doubt, if dead letters without an id may hold them."""
    missed = len(journal.unknown) - _in_lanes(held)
    if missed > without_id:
        rule = "confirmed in the journal, but neither in the ledger nor in a lane"
        examples = tuple(str(id) for id in journal.unknown[:5])
        return Violation(rule, missed - without_id, examples), None
    if missed > 0:
        return None, (
            f"{missed:,} of the journal are neither in the ledger nor in a lane, and may be among the {without_id:,} "
            f"dead letters without an id, e.g. {journal.unknown[0]}: `tidings dead list --reason malformed --reveal`"
        )
    return None, None


def _in_lanes(held: Held) -> int:
    channels = {name.split(".")[1] for name in held if name.count(".") >= 2}
    lanes = (lane_queue(Lane(channel, priority)) for channel in channels for priority in PRIORITIES)
    return sum(held.get(lane, 0) for lane in lanes) + held.get(DEAD, 0)


def _left(findings: LedgerFindings, held: Held) -> Iterator[Violation]:
    """What is left although everything should have ended."""
    if under_way := sum(findings.states.get(state, 0) for state in UNFINISHED):
        yield Violation("still in progress", under_way)
    if full := sorted(name for name, messages in held.items() if messages):
        yield Violation("messages left in a queue", sum(held[name] for name in full), tuple(full))
