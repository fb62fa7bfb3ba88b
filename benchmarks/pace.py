"""Publishes evenly, and remembers when: what latency and punctuality are measured from."""

import time
from collections.abc import Sequence
from typing import Final

from benchmarks.amqp import Envelope, Wire

LONGEST_NAP: Final = 0.002


def publish_evenly(wire: Wire, envelopes: Sequence[Envelope], rate: float) -> list[float]:
    """Publish so many a second; when each was handed to the broker, in seconds since the epoch.

    Falls behind rather than publishing later ones early, and then catches up.
    """
    began, moments = time.monotonic(), list[float]()
    while len(moments) < len(envelopes):
        due = min(len(envelopes), int((time.monotonic() - began) * rate) + 1)
        if due > len(moments):
            now = time.time()
            wire.send(envelopes[len(moments) : due])
            moments += [now] * (due - len(moments))
        wire.absorb_what_is_there()
        time.sleep(LONGEST_NAP if rate > 1 / LONGEST_NAP else min(LONGEST_NAP, 0.5 / rate))
    wire.wait_until_confirmed()
    return moments
