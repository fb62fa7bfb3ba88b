"""The formats of values: durations, rates, lists, URLs."""

import re
from collections.abc import Iterable
from enum import Enum
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode

from tidings.delivery.delay import Delay, seconds


def _duration(value: object) -> object:
    return seconds(value) if isinstance(value, str) else value


def _rate(value: object) -> object:
    """`50/s`, `100/m`, `1000/h` → per second."""
    if not isinstance(value, str):
        return value
    count, _, unit = value.partition("/")
    per = {"": 1, "s": 1, "m": 60, "h": 3600}.get(unit.strip())
    try:
        return float(count) / per if per else value
    except ValueError:
        raise ValueError(f"{value!r} is not a rate: write it like 50/s, 100/m or 1000/h") from None


def words(value: object) -> object:
    """`a, b c` → a list, so that a variable needs no JSON."""
    return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value


def _delays(value: object) -> object:
    listed = words(value)
    if not isinstance(listed, Iterable):
        return listed
    return tuple(Delay.parse(word) if isinstance(word, str) else word for word in listed)


class NumberFormat(Enum):
    """The format of a number."""

    DURATION = "30s, 2m, 1h30m, 7d"
    RATE = "50/s, 100/m, 1000/h"


Duration = Annotated[
    float, BeforeValidator(_duration), Field(gt=0, allow_inf_nan=False), NumberFormat.DURATION
]
"""Seconds; written as `30s`, `2m`, `1h30m`, `7d`."""
Rate = Annotated[float, BeforeValidator(_rate), Field(gt=0, allow_inf_nan=False), NumberFormat.RATE]
"""Per second; written as `50/s`, `100/m`, `1000/h`."""
Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(words)]
Delays = Annotated[tuple[Delay, ...], NoDecode, BeforeValidator(_delays)]
"""Waits between attempts; written as `1m 2m 4m`."""


_HOST: Final = re.compile(r"(?:\[[^]]+\]|[^]\[:]*)(?::(\d{1,5}))?")


def is_url(url: str, *schemes: str) -> bool:
    """Whether it has one of these schemes and well-formed hosts."""
    parts = urlsplit(url)
    hosts = parts.netloc.rpartition("@")[2].split(",")
    return parts.scheme in schemes and all(_is_host(host) for host in hosts)


def _is_host(host: str) -> bool:
    match = _HOST.fullmatch(host)
    return match is not None and 0 < int(match[1] or 1) < 65_536
