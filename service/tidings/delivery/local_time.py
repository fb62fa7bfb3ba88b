"""Turns a local time and its zone into an instant, also where clocks are put forward or back. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache, lru_cache
from importlib import resources
from typing import Any
from zoneinfo import ZoneInfo

import tzdata

from tidings.delivery.errors import InvalidRequest


class Adjustment(StrEnum):
    """Why a local time stands for another instant than it seems to."""

    GAP = "gap"
    """The clocks are put forward over it: it is moved on by as much."""
    FOLD = "fold"
    """The clocks are put back over it: it comes twice, and the first is meant."""


@dataclass(frozen=True, slots=True)
class LocalTime:
    """An instant, and the local time that stands for it."""

    at: datetime
    """With the zone's offset, or as it was written with one."""
    zone: str | None = None
    adjustment: Adjustment | None = None
    """Set if the local time did not name exactly one instant."""

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        return {
            "scheduled_at": self.at.isoformat(),
            "timezone": self.zone,
            "adjustment": self.adjustment,
        }


@cache
def zone_names() -> frozenset[str]:
    """Every zone of the IANA database."""
    return frozenset((resources.files(tzdata) / "zones").read_text().split())


@lru_cache(maxsize=1024)
def zone_named(name: str) -> ZoneInfo:
    """A zone of the IANA database, from the package `tzdata`: an image's may be older, and every process has the same.

    Raises:
        InvalidRequest: There is none of this name.
    """
    if name not in zone_names():
        raise InvalidRequest(
            f"{name[:60]!r} is not a time zone{_meant(name)}; write an IANA name, like Europe/Berlin or UTC",
            field="timezone",
        )
    with resources.files(tzdata).joinpath("zoneinfo", *name.split("/")).open("rb") as data:
        return ZoneInfo.from_file(data, key=name)


def _meant(name: str) -> str:
    folded = name.strip().replace(" ", "_").casefold()
    found = sorted(
        known
        for known in zone_names()
        if known.casefold() == folded or known.casefold().rpartition("/")[2] == folded
    )
    return f" (did you mean {found[0]!r}?)" if found else ""


def in_zone(local: datetime, name: str) -> LocalTime:
    """The instant that a local time stands for.

    In a gap, when clocks are put forward, it is moved on by the gap's length: 02:30 becomes 03:30. In a fold, when they
    are put back, it is the first of the two. So do RFC 5545 (3.3.5) and ECMAScript's Temporal (`compatible`).

    Args:
        local: Without an offset.
        name: An IANA zone.

    Raises:
        InvalidRequest: There is no such zone, or the time is at the end of the calendar.
    """
    zone = zone_named(name)
    first, second = (local.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    try:
        instant = first.astimezone(UTC)
        at = instant.astimezone(zone)
    except (OverflowError, ValueError):
        raise InvalidRequest(
            f"{local.isoformat()} is outside of the calendar; correct the year",
            field="scheduled_at",
        ) from None
    if at.replace(tzinfo=None, fold=0) != local.replace(fold=0):
        return LocalTime(at, name, Adjustment.GAP)
    twice = first.utcoffset() != second.utcoffset()
    return LocalTime(at, name, Adjustment.FOLD if twice else None)
