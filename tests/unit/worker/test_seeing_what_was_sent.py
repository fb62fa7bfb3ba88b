"""When a worker last sent through a provider, as it tells those who wait for the provider to be up again."""

from types import SimpleNamespace
from typing import Any

from tidings.delivery.orders import SentThrough
from tidings.worker.operator_orders import SendsSeen


class OneProvider:
    """A worker with one provider, as the test says."""

    def __init__(self) -> None:
        self.circuit = SimpleNamespace(healthy=True)
        self.provider = SimpleNamespace(name="primary", circuit=self.circuit, sent=0)
        self.sends = SendsSeen()

    def look(self, now: float, *, sent: int = 0, healthy: bool = True) -> None:
        self.provider.sent += sent
        self.circuit.healthy = healthy
        made: Any = SimpleNamespace(providers=SimpleNamespace(name="email", all=[self.provider]))
        self.sends.look([made], now)


def test_what_was_sent_between_two_looks_may_be_as_old_as_the_first() -> None:
    worker = OneProvider()
    worker.look(1.0, sent=3)
    worker.look(2.0)
    assert worker.sends.since(0.0, 4.0) == [SentThrough("email", "primary", 4.0)]
    assert worker.sends.since(1.0, 4.0) == []


def test_what_was_sent_after_the_circuit_was_seen_open_is_no_older_than_that() -> None:
    worker = OneProvider()
    worker.look(1.0, healthy=False)
    worker.look(2.0, sent=1)
    assert worker.sends.since(0.0, 2.0) == [SentThrough("email", "primary", 0.0)]


def test_a_send_that_ends_while_the_circuit_is_open_says_nothing() -> None:
    worker = OneProvider()
    worker.look(1.0, sent=5, healthy=False)
    worker.look(2.0)
    assert worker.sends.since(0.0, 2.0) == []
