"""What a Tidings on a laptop takes over from its shell: how to work, never whom to send through."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from tidings.settings import ChannelSettings, LedgerSettings, WorkerSettings
from tidings.settings.broker import BrokerSettings
from tidings_events import CHANNELS
from tidings_local.errors import LocalStackError

PREFIX: Final = "TIDINGS_"
TESTS: Final = "TIDINGS_TEST_"
SERVERS: Final = ("TIDINGS_AMQP_URL", "TIDINGS_DATABASE_URL")
_HERE: Final = frozenset({"localhost", "127.0.0.1", "::1"})

HARMLESS: Final = frozenset(
    f"{PREFIX}{name}".upper()
    for name in (
        *(
            field
            for section in (BrokerSettings, LedgerSettings, WorkerSettings)
            for field in section.model_fields
        ),
        *(f"{channel}_{field}" for channel in CHANNELS for field in ChannelSettings.model_fields),
    )
)
"""Servers, processes, and the pace of each channel. A relay, an account, a fallback or a place where operators are
told is none of these: what is tried out on a laptop must not reach anybody."""


@dataclass(frozen=True, slots=True)
class Inherited:
    """The `TIDINGS_` variables of a shell, sorted."""

    taken: Mapping[str, str]
    ignored: tuple[str, ...]
    """Their names."""


def inherited(environment: Mapping[str, str]) -> Inherited:
    """What of the environment is used.

    Raises:
        LocalStackError: A server of the environment is not on this machine.
    """
    ours = {
        name: value
        for name, value in environment.items()
        if name.startswith(PREFIX) and not name.startswith(TESTS)
    }
    for name in SERVERS:
        _refuse_elsewhere(name, ours.get(name, ""))
    taken = {name: value for name, value in ours.items() if name in HARMLESS}
    return Inherited(taken, tuple(sorted(ours.keys() - taken.keys())))


def _refuse_elsewhere(name: str, urls: str) -> None:
    """What waits in another machine's queues is for other people, and would end in a stand-in's box."""
    if elsewhere := sorted(set(_hosts(urls)) - _HERE):
        raise LocalStackError(
            f"{name} leads to {', '.join(elsewhere)}: what waits there would be handed to the stand-ins of this "
            "machine and count as sent; unset it, or let it name a server on this machine"
        )


def _hosts(urls: str) -> Iterator[str]:
    """Of several URLs, and of several hosts in one."""
    for part in urls.split(","):
        url = urlsplit(part if "://" in part else f"//{part}")
        yield (url.hostname or "localhost").lower()
        yield from dict(parse_qsl(url.query)).get("host", "localhost").split(",")
