"""A place in a list that is ordered by time and id."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID


class Position(NamedTuple):
    """Right behind the row with this time and id, newest first."""

    at: datetime
    id: UUID
