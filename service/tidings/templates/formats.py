"""Tidings' own filters: dates, numbers, links and single lines, the same on every machine.

They are independent of languages: the template chooses names of months and the order of a date.
"""

import datetime as dt
import re
from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tidings.templates.values import TemplateMisuse

_LONGEST_FORMAT: Final = 100
_MOST_DIGITS: Final = 40
_WIDE: Final = Context(prec=60)
_DIRECTIVE: Final = re.compile(r"%(-?.)", re.DOTALL)
_SCHEMES: Final = ("https://", "http://", "mailto:", "tel:")
_WIDE_FIELD: Final = re.compile(r"%(\([^)]*\))?[-#0 +]*(\*|\d{4}|\d*\.(\*|\d{4}))")
_NOT_IN_LINKS: Final = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029\"'<>\\^`{|}]")


def _twelve(when: dt.datetime) -> int:
    return when.hour % 12 or 12


_DIRECTIVES: Final[Mapping[str, Callable[[dt.datetime], str]]] = {
    "d": lambda when: f"{when.day:02}",
    "-d": lambda when: f"{when.day}",
    "m": lambda when: f"{when.month:02}",
    "-m": lambda when: f"{when.month}",
    "y": lambda when: f"{when.year % 100:02}",
    "Y": lambda when: f"{when.year:04}",
    "H": lambda when: f"{when.hour:02}",
    "-H": lambda when: f"{when.hour}",
    "I": lambda when: f"{_twelve(when):02}",
    "-I": lambda when: f"{_twelve(when)}",
    "M": lambda when: f"{when.minute:02}",
    "S": lambda when: f"{when.second:02}",
    "p": lambda when: "AM" if when.hour < 12 else "PM",
    "z": lambda when: when.isoformat(timespec="seconds")[19:],
    "Z": lambda when: when.tzname() or "",
    "%": lambda _: "%",
}

_PARTS: Final[Mapping[str, Callable[[dt.datetime], int]]] = {
    "year": lambda when: when.year,
    "month": lambda when: when.month,
    "day": lambda when: when.day,
    "weekday": dt.datetime.isoweekday,
    "hour": lambda when: when.hour,
    "minute": lambda when: when.minute,
}


def date(value: object, form: str = "%Y-%m-%d", tz: str | None = None) -> str:
    """A date or time as text: `{{ order.placed_at | date("%d/%m/%Y %H:%M", tz="Europe/Paris") }}`.

    Args:
        value: ISO 8601 text, e.g. `2026-11-22` or `2026-11-22T17:41:00Z`.
        form: What to print: %d %m %y %Y %H %I %M %S %p %z %Z, and %-d %-m %-H %-I without the zero.
        tz: Name of the time zone to show it in; without one, the zone it was given in.

    Raises:
        TemplateMisuse: It is not a date, the zone is unknown, or the value has no zone to convert from.
    """
    when = _instant(value)
    if tz is not None:
        when = _in_zone(when, tz)
    if len(form) > _LONGEST_FORMAT:
        raise TemplateMisuse(f"date: its format has more than {_LONGEST_FORMAT} characters")
    return _DIRECTIVE.sub(lambda found: _directive(found[1])(when), form)


def part_of_date(value: object, part: str, tz: str | None = None) -> int:
    """A number of a date: `{{ months[order.placed_at | date_part("month") - 1] }}`.

    Args:
        value: As for `date`.
        part: `year`, `month`, `day`, `weekday` (1 is Monday, 7 is Sunday), `hour` or `minute`.
        tz: As for `date`.

    Raises:
        TemplateMisuse: As for `date`, or there is no such part.
    """
    when = _instant(value) if tz is None else _in_zone(_instant(value), tz)
    try:
        return _PARTS[part](when)
    except KeyError:
        raise TemplateMisuse(f"date_part: unknown part; use {', '.join(_PARTS)}") from None


def _directive(code: str) -> Callable[[dt.datetime], str]:
    try:
        return _DIRECTIVES[code]
    except KeyError:
        known = " ".join(f"%{each}" for each in _DIRECTIVES)
        raise TemplateMisuse(
            f"date: its format may have {known}, and nothing else after a %"
        ) from None


def _instant(value: object) -> dt.datetime:
    match value:
        case dt.datetime():
            return value
        case dt.date():
            return dt.datetime.combine(value, dt.time())
        case str():
            return _parsed(value)
        case _:
            raise TemplateMisuse(f"date: takes ISO 8601 text, not a {type(value).__name__}")


def _parsed(text: str) -> dt.datetime:
    try:
        return dt.datetime.fromisoformat(text)
    except ValueError:
        raise TemplateMisuse(
            "date: its value is not ISO 8601 text, e.g. 2026-11-22 or 2026-11-22T17:41:00Z"
        ) from None


def _in_zone(when: dt.datetime, tz: str) -> dt.datetime:
    if when.tzinfo is None:
        raise TemplateMisuse(
            "date: its value has no offset, so it can't be shown in another time zone"
        )
    try:
        return when.astimezone(ZoneInfo(tz))
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError):
        raise TemplateMisuse("date: there is no such time zone; e.g. America/Sao_Paulo") from None
    except OverflowError:
        raise TemplateMisuse("date: its value is out of range in that time zone") from None


def number(value: object, decimals: int = 0, thousands: str = ",", point: str = ".") -> str:
    """A number with separators: `{{ total | number(2) }}` → 1,234.50, `number(2, ".", ",")` → 1.234,50.

    Args:
        value: A number, or text that is one (amounts of money are best sent as text).
        decimals: Digits after the point, 0 to 12; a half is rounded away from zero.
        thousands: Between groups of three digits.
        point: Before the decimals.

    Raises:
        TemplateMisuse: It is not a number, or has more than 40 digits.
    """
    if not 0 <= decimals <= 12:
        raise TemplateMisuse("number: decimals must be between 0 and 12")
    rounded = _decimal(value).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP, _WIDE)
    rounded = rounded or abs(rounded)  # no "-0"
    whole, _, fraction = f"{rounded:,f}".partition(".")
    whole = whole.replace(",", thousands)
    return f"{whole}{point}{fraction}" if fraction else whole


def _decimal(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise TemplateMisuse(f"number: takes a number, not a {type(value).__name__}")
    try:
        amount = Decimal(str(value))
    except (InvalidOperation, ValueError):
        raise TemplateMisuse("number: its value is not a number") from None
    if not amount.is_finite() or abs(amount.adjusted()) > _MOST_DIGITS:
        raise TemplateMisuse(f"number: its value has more than {_MOST_DIGITS} digits")
    return amount


def oneline(value: object) -> str:
    """Text on one line: each run of white space and line breaks becomes a space."""
    return " ".join(str(value).split())


def link(value: object) -> str:
    """A URL that is safe in `href="{{ url | link }}"`: http, https, mailto or tel only.

    Escaping alone would let `javascript:` through.

    Raises:
        TemplateMisuse: It has another scheme, none, or invalid characters.
    """
    text = str(value).strip()
    if not text.lower().startswith(_SCHEMES):
        raise TemplateMisuse(
            "link: its value does not start with https://, http://, mailto: or tel:"
        )
    if _NOT_IN_LINKS.search(text):
        raise TemplateMisuse(
            "link: its value has characters that a URL can't have; percent-encode them"
        )
    return text


def has_wide_field(form: str) -> bool:
    """Whether a printf-style format has a field of 1000 characters or more, or of computed width."""
    return _WIDE_FIELD.search(form) is not None
