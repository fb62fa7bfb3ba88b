"""Times and lengths of time, as people read and write them; and counts and shares beside them."""

from datetime import UTC, datetime, timedelta
from typing import Final

from tidings.delivery.delay import seconds

_STEPS: Final = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
NOTHING: Final = "–"


def span(length: float) -> str:
    """A length of time in its two largest units: `203ms`, `1.2s`, `12s`, `1m 12s`, `3d 4h`."""
    if length < 0:
        return f"-{span(-length)}"
    if length < 0.9995:
        return f"{length * 1000:.0f}ms"
    if length < 59.95:
        return f"{length:.1f}s".replace(".0s", "s")
    return " ".join(_parts(round(length))[:2])


def ago(moment: datetime, now: datetime) -> str:
    """How far from now, in its largest unit: `3m ago`, `in 2h`, `now`."""
    return _from_now(moment, now, units=1)


def distance(moment: datetime, now: datetime) -> str:
    """How far from now, in its two largest units: `3m 12s ago`, `in 2h 5m`, `now`."""
    return _from_now(moment, now, units=2)


def _from_now(moment: datetime, now: datetime, *, units: int) -> str:
    whole = round((now - moment).total_seconds())
    if whole == 0:
        return "now"
    length = f"{abs(whole)}s" if abs(whole) < 60 else " ".join(_parts(abs(whole))[:units])
    return f"{length} ago" if whole > 0 else f"in {length}"


def _parts(whole: int) -> list[str]:
    """3672 → `1h`, `1m`, `12s`; nothing for a unit that is zero."""
    parts: list[str] = []
    for unit, size in _STEPS:
        count, whole = divmod(whole, size)
        if count:
            parts.append(f"{count}{unit}")
    return parts


def exact(moment: datetime) -> str:
    """Date and time to the millisecond in this machine's time zone, with its offset."""
    local = moment.astimezone()
    offset = local.strftime("%z")
    return f"{local:%Y-%m-%d %H:%M:%S}.{local.microsecond // 1000:03} {offset[:3]}:{offset[3:]}"


def clock(moment: datetime, reference: datetime) -> str:
    """The time of day, with its date where that is another than the reference's."""
    local, other = moment.astimezone(), reference.astimezone()
    date = "" if local.date() == other.date() else f"{local:%m-%d} "
    return f"{date}{local:%H:%M:%S}.{local.microsecond // 1000:03}"


def counted(count: int, thing: str) -> str:
    """`1 dead letter`, `2,000 dead letters`, `3 entries`."""
    if count != 1:
        thing = f"{thing[:-1]}ies" if thing.endswith("entry") else f"{thing}s"
    return f"{count:,} {thing}"


def untried(attempts: int) -> str:
    """The end of a notification that expired before an attempt, after so many attempts."""
    return f"expired before the {'next' if attempts else 'first'} attempt"


def share(part: float | None) -> str:
    """A share as a percentage, never rounded up to 100 % or down to 0."""
    if part is None:
        return NOTHING
    percent = 100 * part
    if 0 < percent < 0.1:
        return "<0.1 %"
    if 99.9 < percent < 100:
        return ">99.9 %"
    return f"{percent:.1f} %".replace(".0 %", " %")


def moment(text: str, now: datetime | None = None) -> datetime:
    """Read a time: RFC 3339 with or without an offset (then local), or how long ago, like `24h`.

    Raises:
        ValueError: It is neither.
    """
    now = now or datetime.now(UTC)
    if (length := _length(text)) is not None:
        try:
            return now - timedelta(seconds=length)
        except OverflowError:
            raise ValueError(f"{_short(text)} is longer ago than there are dates") from None
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise ValueError(
            f"{_short(text)} is not a time: write how long ago, like 30m, 24h or 7d, a date, like 2026-11-22, "
            "or a date and time, like 2026-11-22T18:00:00+01:00"
        ) from None


def ahead(text: str, now: datetime | None = None) -> str:
    """Read a time to come: `10m` from now, or a time as it is written, which a notification's own rules judge.

    Raises:
        ValueError: It is neither.
    """
    now = now or datetime.now(UTC)
    if (length := _length(text.removeprefix("in "))) is not None:
        try:
            return (now + timedelta(seconds=length)).isoformat()
        except OverflowError:
            raise ValueError(f"{_short(text)} is further ahead than there are dates") from None
    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{_short(text)} is not a time: write how long from now, like 10m or 2h, or a date and time, "
            "like 2026-12-24T18:00:00+01:00"
        ) from None
    return text


def _length(text: str) -> float | None:
    """Seconds; None for what is no length of time."""
    try:
        return seconds(text)
    except ValueError:
        return None


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:60]}…")
