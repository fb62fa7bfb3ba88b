"""Edits many letters alike, a batch at a time."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from tidings.delivery.errors import TidingsError
from tidings.ledger.dead_letters.editing import Change, Edited, NoEdit, NotEdited
from tidings.ledger.dead_letters.rows import ExpiresAt
from tidings.ledger.dead_letters.search import Chosen
from tidings.ledger.ledger import Ledger
from tidings.ledger.steps import UNHURRIED, Clock
from tidings.operations.dead_letters.pacing import AT_ONCE, FEW, batches

SAMPLE = 3
"""Edits that are kept to be shown."""


@dataclass(slots=True)
class Mended:
    """What became of letters."""

    chosen: int
    new: list[UUID] = field(default_factory=list)
    """Letters that stand in the place of others."""
    sample: list[Edited] = field(default_factory=list)
    unchanged: list[UUID] = field(default_factory=list)
    """Letters that were so already."""
    refused: list[NotEdited] = field(default_factory=list)
    stopped: str | None = None
    """Why the rest was left alone."""
    cut_short: bool = False
    """Whether the rest was left out for want of patience."""

    @property
    def left(self) -> int:
        """Letters that were not looked at because it stopped."""
        return self.chosen - len(self.new) - len(self.unchanged) - len(self.refused)

    @property
    def well(self) -> bool:
        """Whether nothing calls for a person."""
        return not (self.refused or self.stopped)


async def mend(
    ledger: Ledger,
    letters: Sequence[Chosen],
    change: Change,
    expires_at: ExpiresAt,
    *,
    actor: str,
    rehearsed: bool,
    interrupted: asyncio.Event,
    clock: Clock = UNHURRIED,
) -> Mended:
    """Edit letters, each for itself: one that can't be edited is told of and stays as it was.

    Args:
        actor: Named in the letters and in the history of their notifications.
        rehearsed: Change nothing.
        interrupted: Ends it after the batch that is under way.
        clock: Ends a rehearsal, after some at least.
    """
    done = Mended(len(letters))
    for batch in batches(letters, None, FEW if rehearsed else AT_ONCE):
        if rehearsed and done.left < done.chosen and clock.over:
            done.cut_short = True
            break
        if interrupted.is_set():
            done.stopped = "interrupted"
            break
        try:
            edits = await ledger.letters.editing.edit(
                [one.id for one in batch],
                change,
                expires_at=expires_at,
                actor=actor,
                rehearsed=rehearsed,
            )
        except TidingsError as error:
            done.stopped = str(error)
            break
        done.new += [one.new for one in edits.edited]
        done.sample += edits.edited[: SAMPLE - len(done.sample)]
        for one in edits.not_edited:
            if one.reason is NoEdit.UNCHANGED:
                done.unchanged.append(one.letter)
            else:
                done.refused.append(one)
    return done
