"""The times of a cron expression in a time zone, also where clocks are put forward or back. Pure."""

from collections.abc import Iterator
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

from cronsim import CronSim, CronSimError

from tidings.delivery.errors import InvalidRequest
from tidings.delivery.local_time import zone_named

NICKNAMES: Final = MappingProxyType(
    {
        "@hourly": "0 * * * *",
        "@daily": "0 0 * * *",
        "@midnight": "0 0 * * *",
        "@weekly": "0 0 * * 0",
        "@monthly": "0 0 1 * *",
        "@yearly": "0 0 1 1 *",
        "@annually": "0 0 1 1 *",
    }
)
"""Vixie cron's, but for `@reboot`."""
LONGEST: Final = 200
"""Characters of an expression."""


def check(expression: str, zone: str) -> None:
    """Check an expression and its zone.

    Raises:
        InvalidRequest: It is no cron expression, never matches, or there is no such zone.
    """
    next(times(expression, zone, datetime.now(UTC)), None)


def times(expression: str, zone: str, after: datetime) -> Iterator[datetime]:
    """Every time after an instant, in UTC, one minute apart at least.

    A time of day that clocks skip is due when the skipped hour ends; one that comes twice is due once, the first time.
    Expressions whose minute or hour begins with `*` follow the clock's hands: nothing is due in a skipped hour, and a
    repeated one counts twice. So does Debian's cron.

    Args:
        expression: Five fields, or one of `NICKNAMES`.
        zone: IANA name.
        after: Exclusive.

    Raises:
        InvalidRequest: As `check` does, at the first step.
    """
    simulated = _simulated(expression, after.astimezone(zone_named(zone)))
    last = after.astimezone(UTC)
    while True:
        try:
            found = next(simulated)
            due = found.astimezone(UTC)
        except (OverflowError, ValueError, StopIteration):  # the calendar ends
            return
        if due > last:  # in a fold it goes by the clock's hands, which have been there before
            last = due
            yield due


def _simulated(expression: str, local: datetime) -> CronSim:
    fields = NICKNAMES.get(expression.strip().lower(), expression).split()
    reason = "it has not five fields"
    if len(fields) == 5 and len(expression) <= LONGEST:
        try:
            return CronSim(" ".join(fields), local)
        except CronSimError as error:
            reason = str(error).lower()
    raise InvalidRequest(
        f"{expression[:60]!r} is not a cron expression ({reason}): write minute, hour, day of the month, month and "
        "weekday, like `30 9 * * MON-FRI`",
        field="cron",
    )
