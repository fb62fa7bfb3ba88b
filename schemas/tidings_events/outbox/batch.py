"""A batch of locked rows: what can be published of it, and what becomes of each row."""

import json
import logging
import random
from collections.abc import Callable, Iterable
from typing import Any, Final

from tidings_events.burst import Burst, MessageRefused
from tidings_events.errors import InvalidNotification, Unroutable
from tidings_events.outbox.rows import OutboxRow, RowOutcomes
from tidings_events.parsing import parse
from tidings_events.problems import without_values
from tidings_events.publication import BROKER_REASONS, OutgoingMessage
from tidings_events.routing import own_headers, routing_key

log = logging.getLogger(__name__)

LONGEST_PAUSE: Final = 30.0
"""Seconds between two attempts at a server or a lane, at most."""
MOST_HEADER_BYTES: Final = 16 * 1024
"""Bytes of the headers of one notification as JSON: AMQP sends them in one frame."""
UNREADABLE: Final = "notification: can't be read; the relay's log says why"
_LONGEST_NAME: Final = 128
"""Bytes of a header's name (AMQP 0-9-1, 4.2.5.5)."""
_BITS: Final = 63


class Pause:
    """Seconds that double with each failure, each shortened at random."""

    def __init__(self, first: float = 0.25) -> None:
        self._first = first
        self._failures = 0

    def next(self) -> float:
        """Seconds to wait now."""
        longest = min(LONGEST_PAUSE, self._first * 2.0 ** min(self._failures, 20))
        self._failures += 1
        return longest * random.uniform(0.5, 1)  # noqa: S311 - jitter


class HeldLanes:
    """Lanes that take nothing now, so that their rows don't delay those of others.

    Args:
        now: The time, in seconds of any clock that only advances.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._held: dict[str, tuple[float, Pause]] = {}

    def hold(self, lane: str) -> float:
        """Leave it alone, for longer each time; for how many seconds."""
        until, pause = self._held.get(lane, (0.0, Pause()))
        wait = until - self._now()
        if wait <= 0:  # not the answer to another message of the same batch
            wait = pause.next()
            self._held[lane] = (self._now() + wait, pause)
        return wait

    def release(self, lanes: Iterable[str]) -> None:
        """They take messages again."""
        for lane in lanes:
            self._held.pop(lane, None)

    def names(self) -> list[str]:
        """Those that are to be left alone now."""
        return [lane for lane, (until, _) in self._held.items() if until > self._now()]


class RelayBatch:
    """Rows that one transaction has locked.

    Args:
        rows: At least one.
        app_id: The producer, as its dead letters name it.
    """

    def __init__(self, rows: Iterable[OutboxRow], app_id: str | None) -> None:
        self.settlement: Final = RowOutcomes()
        self.publications: Final[list[OutgoingMessage]] = []
        self._rows: list[OutboxRow] = []
        """The row of each publication."""
        for row in rows:
            try:
                self.publications.append(_publication(row, app_id))
            except ValueError as error:
                self.settlement.failed[row.id] = str(error)
            except MemoryError:  # not the row's fault
                raise
            except Exception:
                log.exception("unexpected error in reading outbox row %s", row.id)
                self.settlement.failed[row.id] = UNREADABLE
            else:
                self._rows.append(row)

    def sort(self, burst: Burst, lanes: HeldLanes, attempts: int) -> None:
        """Decide what becomes of each row. Those without an answer stay as they are.

        Args:
            burst: The answers to `publications`.
            lanes: Holds back those that refused a message.
            attempts: How often a message is published that no queue takes.
        """
        alone = len(self._rows) == 1
        outcomes = zip(self._rows, self.publications, burst.outcomes(), strict=True)
        taking: set[str] = set()
        for row, publication, outcome in outcomes:
            if outcome is None:
                self.settlement.published.append(row.id)
                taking.add(publication.routing_key)
            elif outcome is burst.failure and not (alone and isinstance(outcome, MessageRefused)):
                continue
            elif row.attempts + 1 >= attempts and isinstance(outcome, Unroutable | MessageRefused):
                self.settlement.failed[row.id] = str(outcome)
            elif isinstance(outcome, MessageRefused):  # its lane is not to blame
                wait = min(LONGEST_PAUSE, 0.25 * 2.0**row.attempts)
                self.settlement.postponed[row.id] = (str(outcome), wait)
            else:
                wait = lanes.hold(publication.routing_key)
                self.settlement.postponed[row.id] = (str(outcome), wait)
        lanes.release(taking.difference(lanes.names()))


def reason_without_values(reason: str) -> str:
    """Why a row failed, without what its producer wrote: for logs, and for groups."""
    if reason.startswith(BROKER_REASONS):
        return reason
    return "; ".join(without_values(problem) for problem in reason.split("; "))


def _publication(row: OutboxRow, app_id: str | None) -> OutgoingMessage:
    """Raises ValueError if the contract refuses the row; says why."""
    notification = parse(row.body)
    return OutgoingMessage(
        str(row.id),
        row.body,
        routing_key(notification),
        _headers(row.headers),
        app_id,
        int(row.created_at.timestamp() * 1000),
    )


def _headers(text: str) -> dict[str, Any]:
    if text == "{}":
        return {}
    if (size := len(text.encode())) > MOST_HEADER_BYTES:
        problem = f"are {size:,} bytes; at most {MOST_HEADER_BYTES:,} are allowed"
    elif not isinstance(headers := _read(text), dict):
        problem = "is not an object; write the AMQP headers as {…}"
    elif not all(0 < len(name.encode()) <= _LONGEST_NAME for name in headers):
        problem = f"a name is empty, or has more than {_LONGEST_NAME} bytes"
    elif not all(isinstance(value, str | int | float) for value in headers.values()):
        problem = "a value is neither text, a number, true nor false"
    elif any(isinstance(value, int) and value.bit_length() > _BITS for value in headers.values()):
        problem = "a number has more than 64 bits"
    else:
        return dict(own_headers(headers, None))
    raise InvalidNotification([f"headers: {problem}"])


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise InvalidNotification(["headers: are nested too deeply"]) from None
