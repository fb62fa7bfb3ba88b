"""A provider that fails is left alone, tried with one notification at a time, and trusted again step by step."""

from dataclasses import dataclass
from math import inf

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tidings.delivery.circuit import Circuit, CircuitPolicy, Phase

POLICY = CircuitPolicy(failures=3, share=0.5, window=60.0, minimum=10, probe=5.0, slots=8)


@dataclass
class Clock:
    """Advances only on demand."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def circuit_of(clock: Clock, policy: CircuitPolicy = POLICY, jitter: float = 0.0) -> Circuit:
    return Circuit(policy, clock, lambda: jitter)


@pytest.fixture
def circuit(clock: Clock) -> Circuit:
    return circuit_of(clock)


def fail(circuit: Circuit, times: int = 1) -> list[bool]:
    return [circuit.failed(circuit.enter()) for _ in range(times)]


def succeed(circuit: Circuit, times: int = 1) -> None:
    for _ in range(times):
        circuit.succeeded(circuit.enter())


def reach_probe(circuit: Circuit, clock: Clock) -> None:
    clock.now += circuit.wait()


def test_failures_in_a_row_open_it_and_each_of_them_is_news(circuit: Circuit) -> None:
    assert fail(circuit, 2) == [True, True]
    assert circuit.phase is Phase.CLOSED
    assert fail(circuit) == [True]
    assert circuit.phase is Phase.OPEN
    assert circuit.enter() == 0
    assert circuit.wait() == 5.0


def test_a_misconfiguration_opens_it_at_once_unless_others_were_sent_lately(
    circuit: Circuit, clock: Clock
) -> None:
    succeed(circuit)
    for _ in range(2):
        circuit.failed(circuit.enter(), misconfigured=True)
        assert circuit.phase is Phase.CLOSED  # it may be about this one only
    circuit.failed(circuit.enter(), misconfigured=True)
    assert circuit.phase is Phase.OPEN
    circuit.reset()
    succeed(circuit)
    clock.now += 120.0
    circuit.failed(circuit.enter(), misconfigured=True)
    assert circuit.phase is Phase.OPEN


def test_where_only_the_notification_may_be_refused_another_is_tried_soon_each_time(
    circuit: Circuit, clock: Clock
) -> None:
    for _ in range(20):
        circuit.failed(circuit.enter(), misconfigured=True, doubtful=True)
        assert (circuit.phase, circuit.wait()) == (Phase.OPEN, 0.5)
        reach_probe(circuit, clock)


def test_a_success_between_failures_begins_the_row_anew(circuit: Circuit) -> None:
    for _ in range(3):
        fail(circuit, 2)
        succeed(circuit)
    assert circuit.phase is Phase.CLOSED


def test_a_large_share_of_failures_opens_it_though_some_succeed(circuit: Circuit) -> None:
    for _ in range(4):
        succeed(circuit)
        fail(circuit)
    assert circuit.phase is Phase.CLOSED  # too few to tell
    succeed(circuit)
    fail(circuit)
    assert circuit.phase is Phase.OPEN


def test_failures_of_long_ago_don_t_count(circuit: Circuit, clock: Clock) -> None:
    for _ in range(4):
        succeed(circuit)
        fail(circuit)
    clock.now += 61.0
    succeed(circuit)
    fail(circuit)
    assert circuit.phase is Phase.CLOSED


def test_a_misconfiguration_opens_it_at_once(circuit: Circuit) -> None:
    circuit.failed(circuit.enter(), misconfigured=True)
    assert circuit.phase is Phase.OPEN


def test_a_provider_that_is_many_rests_for_nothing_but_a_misconfiguration(clock: Clock) -> None:
    circuit = circuit_of(clock, CircuitPolicy(failures=0))
    assert fail(circuit, 100) == [True] * 100
    circuit.failed(circuit.enter(), misconfigured=True)
    reach_probe(circuit, clock)
    fail(circuit)  # it was called, and this failure is its receiver's own
    assert circuit.phase is Phase.RAMPING


def test_what_was_under_way_when_it_opened_is_no_news_and_changes_nothing(
    circuit: Circuit, clock: Clock
) -> None:
    late = [circuit.enter() for _ in range(5)]
    fail(circuit, 3)
    assert [circuit.failed(late.pop()) for _ in range(2)] == [False, False]
    circuit.succeeded(late.pop())
    circuit.withdrew(late.pop())
    assert (circuit.phase, circuit.wait(), circuit.under_way) == (Phase.OPEN, 5.0, 1)
    reach_probe(circuit, clock)
    circuit.enter()
    circuit.succeeded(late.pop())
    assert circuit.phase is Phase.PROBING


def test_one_probe_at_a_time_and_a_failed_one_is_no_news(circuit: Circuit, clock: Clock) -> None:
    fail(circuit, 3)
    reach_probe(circuit, clock)
    assert circuit.slots == 1
    probe = circuit.enter()
    assert probe
    assert (circuit.enter(), circuit.slots, circuit.wait()) == (0, 0, inf)
    assert circuit.failed(probe) is False
    assert circuit.phase is Phase.OPEN


def test_each_failed_probe_makes_the_next_one_wait_longer_up_to_sixty_times(
    circuit: Circuit, clock: Clock
) -> None:
    fail(circuit, 3)
    waits = []
    for _ in range(8):
        waits.append(circuit.wait())
        reach_probe(circuit, clock)
        fail(circuit)
    assert waits == [5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0]


def test_workers_don_t_probe_in_step(clock: Clock) -> None:
    waits = []
    for jitter in (0.0, 0.5, 1.0):
        circuit = circuit_of(clock, jitter=jitter)
        fail(circuit, 3)
        waits.append(circuit.wait())
    assert waits == [5.0, 5.625, 6.25]


def test_a_provider_that_wants_to_be_left_alone_is_within_reason(circuit: Circuit) -> None:
    fail(circuit, 2)
    circuit.failed(circuit.enter(), no_sooner_than=120.0)
    assert circuit.wait() == 120.0
    circuit.reset()
    fail(circuit, 2)
    circuit.failed(circuit.enter(), no_sooner_than=86_400.0)
    assert circuit.wait() == 300.0


def test_a_probe_that_came_to_nothing_leaves_its_turn_to_another(
    circuit: Circuit, clock: Clock
) -> None:
    fail(circuit, 3)
    reach_probe(circuit, clock)
    circuit.withdrew(circuit.enter())
    assert circuit.wait() == 0.0
    assert circuit.enter()


def test_it_recovers_step_by_step(circuit: Circuit, clock: Clock) -> None:
    fail(circuit, 3)
    reach_probe(circuit, clock)
    succeed(circuit)
    seen = []
    while circuit.phase is Phase.RAMPING:
        inside = []
        while era := circuit.enter():
            inside.append(era)
        seen.append(len(inside))
        for entered in inside:
            circuit.succeeded(entered)
    assert seen == [2, 4]  # and then all eight
    assert circuit.slots > POLICY.slots


def test_failures_slow_the_recovery_and_more_of_them_end_it(circuit: Circuit, clock: Clock) -> None:
    fail(circuit, 3)
    reach_probe(circuit, clock)
    succeed(circuit, 4)
    assert circuit.slots == 5
    assert fail(circuit) == [True]
    assert circuit.slots == 2
    fail(circuit)
    assert (circuit.phase, circuit.slots) == (Phase.RAMPING, 1)
    fail(circuit)
    assert circuit.phase is Phase.OPEN
    assert circuit.wait() == 10.0  # it was not well yet


def test_after_a_recovery_the_first_wait_is_short_again(circuit: Circuit, clock: Clock) -> None:
    fail(circuit, 3)
    reach_probe(circuit, clock)
    fail(circuit)
    reach_probe(circuit, clock)
    succeed(circuit, 7)
    assert circuit.phase is Phase.CLOSED
    fail(circuit, 3)
    assert circuit.wait() == 5.0


def test_held_open_by_hand_it_waits_for_a_hand(circuit: Circuit, clock: Clock) -> None:
    late = circuit.enter()
    circuit.hold()
    clock.now += 1e6
    assert (circuit.enter(), circuit.wait()) == (0, inf)
    circuit.succeeded(late)
    assert circuit.phase is Phase.DISABLED
    circuit.reset()
    assert circuit.enter()


class AnyHistory(RuleBasedStateMachine):
    """Whatever happens in whatever order."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.circuit = circuit_of(self.clock)
        self.inside: list[tuple[int, Phase]] = []

    @rule()
    def enter(self) -> None:
        slots = self.circuit.slots
        era = self.circuit.enter()
        assert bool(era) == (slots > 0)
        if era:
            self.inside.append((era, self.circuit.phase))

    @precondition(lambda self: self.inside)
    @rule(which=st.integers(0, 50), how=st.sampled_from(["ok", "failed", "ours", "withdrew"]))
    def leave(self, which: int, how: str) -> None:
        era, _ = self.inside.pop(which % len(self.inside))
        before = self.circuit.phase
        match how:
            case "ok":
                self.circuit.succeeded(era)
                assert self.circuit.phase is not Phase.OPEN or before is Phase.OPEN
            case "withdrew":
                self.circuit.withdrew(era)
            case _:
                self.circuit.failed(era, misconfigured=how == "ours")
                assert self.circuit.phase is not Phase.CLOSED or before is Phase.CLOSED

    @rule(seconds=st.sampled_from([0.1, 15.0, 30.0, 400.0]))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule(held=st.booleans())
    def by_hand(self, held: bool) -> None:
        if held:
            self.circuit.hold()
        else:
            self.circuit.reset()

    @invariant()
    def places_taken_are_counted(self) -> None:
        assert self.circuit.under_way == len(self.inside)

    @invariant()
    def one_probe_at_a_time(self) -> None:
        if self.circuit.phase is Phase.PROBING:
            assert self.circuit.slots == 0

    @invariant()
    def it_never_waits_for_nothing(self) -> None:
        """An endless wait is for a send under way, or for a person."""
        if self.circuit.wait() == inf and self.circuit.phase is not Phase.DISABLED:
            assert self.inside

    @invariant()
    def a_wait_is_bounded(self) -> None:
        if self.circuit.phase is Phase.OPEN:
            assert self.circuit.wait() <= POLICY.probe * 60


AnyHistory.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
test_any_history = AnyHistory.TestCase
