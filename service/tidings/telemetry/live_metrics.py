"""Metrics of live connections to inboxes."""

from collections.abc import Callable
from functools import partial
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from tidings.telemetry.histogram import Histogram

KINDS: Final = ("websocket", "sse")
FRAMES: Final = ("changes", "reset", "heartbeat")
CLIENT: Final = "client"
"""Instead of a code, of connections that their clients ended."""
CODES: Final = (CLIENT, "1012", "1013", "4400", "4401", "4403", "4408", "4410", "4413", "4429")
DELAYS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60)
"""Buckets, in seconds."""


class LiveConnectionMetrics:
    """What is measured of them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._connections = Gauge(
            "tidings_inbox_connections", "Open live connections.", ["kind"], registry=registry
        )
        sent = Counter(
            "tidings_inbox_frames",
            "Frames sent on live connections.",
            ["kind", "frame"],
            registry=registry,
        )
        self._sent = {
            (kind, frame): sent.labels(kind, frame).inc for kind in KINDS for frame in FRAMES
        }
        self._delay = Histogram(
            "tidings_inbox_delay_seconds",
            "Seconds from the commit of a new message to its frame, for each live connection.",
            bounds=DELAYS,
            registry=registry,
        ).labels()
        self._hints = Counter(
            "tidings_inbox_hints", "Inboxes that hints said to have changed.", registry=registry
        )
        self._closes = Counter(
            "tidings_inbox_closes",
            "Live connections that ended, by close code.",
            ["kind", "code"],
            registry=registry,
        )
        for kind in KINDS:
            for code in CODES:
                self._closes.labels(kind, code)

    def connections(self, count: Callable[[str], int]) -> None:
        """This function counts the open connections of a kind."""
        for kind in KINDS:
            self._connections.labels(kind).set_function(partial(count, kind))

    def sent(self, kind: str, frame: str) -> None:
        """A frame of a type was sent on a connection of a kind."""
        self._sent[kind, frame]()

    def delay(self, seconds: float) -> None:
        """A new message was sent so long after it was committed."""
        self._delay.observe(seconds)

    def hints(self, count: int) -> None:
        """So many inboxes were said to have changed."""
        self._hints.inc(count)

    def closed(self, kind: str, code: int | None) -> None:
        """A connection of a kind ended: by us with this code, or by its client."""
        self._closes.labels(kind, CLIENT if code is None else str(int(code))).inc()
