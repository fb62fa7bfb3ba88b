"""Urgent first, no lane starved, and no message sent that RabbitMQ delivers again."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.attempts import message_of

from tidings.broker.consumer import BrokerDelivery
from tidings.broker.topology.layout import PRIORITIES
from tidings.broker.wire.settlement import Settlement
from tidings.worker.lanes import Lanes


@dataclass
class AChannel:
    """As much of the client's channel as a delivery asks."""

    is_closed: bool = False


def delivery(
    received: float = 0.0, *, name: str = "email.normal", dead: bool = False
) -> BrokerDelivery:
    settlement = Settlement(AChannel(dead))  # type: ignore[arg-type]  # never flushed
    return BrokerDelivery(message_of(key=name), name, "", False, 1, settlement, received)


def filled(low_share: float, counts: dict[str, int]) -> Lanes:
    """So many waiting in each lane, the least urgent longest."""
    lanes = Lanes(low_share)
    for age, priority in enumerate(reversed(PRIORITIES)):
        for place in range(counts.get(priority, 0)):
            lanes.put(priority, delivery(age * 10_000 + place, name=priority))
    return lanes


def turns(lanes: Lanes, count: int) -> Iterator[str]:
    for _ in range(count):
        taken = lanes.take()
        assert taken is not None
        yield taken.queue


def test_the_most_urgent_goes_first_and_each_lane_in_its_order() -> None:
    lanes = Lanes(low_share=0.0)
    for priority in reversed(PRIORITIES):
        for received in (1.0, 2.0):
            lanes.put(priority, delivery(received, name=priority))
    taken = [lanes.take() for _ in range(8)]
    assert [(item.queue, item.received) for item in taken if item] == [
        (priority, received) for priority in PRIORITIES for received in (1.0, 2.0)
    ]
    assert lanes.take() is None


@pytest.mark.parametrize(
    ("low_share", "low"),
    [(0.0, 0), (0.05, 50), (0.25, 250), (0.5, 500), (0.1, 100), (0.3, 300), (0.125, 125)],
)
def test_of_a_thousand_turns_low_has_its_share_and_urgent_the_rest(
    low_share: float, low: int
) -> None:
    lanes = filled(low_share, {"urgent": 2000, "low": 2000})
    assert Counter(turns(lanes, 1000)) == Counter({"urgent": 1000 - low, "low": low})


def test_the_share_is_spread_over_the_turns() -> None:
    lanes = filled(0.05, {"urgent": 2000, "low": 2000})
    went_low = [place for place, name in enumerate(turns(lanes, 1000)) if name == "low"]
    gaps = {after - before for before, after in pairwise(went_low)}
    assert gaps == {20}


def test_urgent_goes_before_low_on_every_turn_but_the_share_s() -> None:
    lanes = filled(0.05, {"urgent": 2000, "low": 2000})
    names = list(turns(lanes, 1000))
    assert names.count("urgent") == 950
    assert names[:19] == ["urgent"] * 19


def test_the_share_goes_to_whoever_has_waited_longest_behind_the_most_urgent() -> None:
    lanes = filled(0.5, {"urgent": 100, "high": 3, "normal": 3, "low": 3})
    went = [name for name in turns(lanes, 19) if name != "urgent"]
    assert went == ["low"] * 3 + ["normal"] * 3 + ["high"] * 3


def test_the_share_is_not_the_most_urgent_s_even_where_it_has_waited_longest() -> None:
    lanes = Lanes(low_share=0.25)
    for place in range(100):
        lanes.put("urgent", delivery(place, name="urgent"))
        lanes.put("low", delivery(1000 + place, name="low"))
    assert Counter(turns(lanes, 40)) == Counter({"urgent": 30, "low": 10})


def test_a_lane_alone_has_every_turn() -> None:
    assert set(turns(filled(0.5, {"low": 100}), 100)) == {"low"}


def test_a_quiet_time_saves_up_no_more_than_one_turn() -> None:
    lanes = filled(0.5, {"urgent": 500})
    list(turns(lanes, 400))
    for place in range(100):
        lanes.put("low", delivery(place, name="low"))
    assert list(turns(lanes, 20)).count("low") <= 11


def test_what_the_broker_took_back_is_skipped() -> None:
    lanes = Lanes(0.0)
    for dead in (True, True, False, True):
        lanes.put("high", delivery(name="high", dead=dead))
    taken = lanes.take()
    assert taken is not None
    assert taken.alive
    assert lanes.take() is None
    assert not lanes.waiting


def test_what_was_handed_over_too_long_ago_is_taken_out() -> None:
    lanes = Lanes(0.0, clock=lambda: 1000.0)
    old, older, young = delivery(399.0), delivery(100.0), delivery(400.0)
    lanes.put("normal", old)
    lanes.put("normal", young)
    lanes.put("low", older)
    assert set(lanes.take_older_than(600.0)) == {old, older}
    assert lanes.take() is young


def test_what_the_broker_took_back_is_not_handed_on_for_its_age() -> None:
    lanes = Lanes(0.0, clock=lambda: 1000.0)
    lanes.put("normal", delivery(1.0, dead=True))
    assert list(lanes.take_older_than(600.0)) == []
    assert not lanes.waiting


def test_clearing_forgets_everything() -> None:
    lanes = filled(0.5, {"urgent": 3, "low": 3})
    lanes.clear()
    assert not lanes.waiting
    assert lanes.take() is None


@given(
    st.floats(0, 0.5), st.lists(st.tuples(st.sampled_from(PRIORITIES), st.booleans()), max_size=60)
)
def test_everything_alive_has_exactly_one_turn(
    low_share: float, waiting: list[tuple[str, bool]]
) -> None:
    lanes = Lanes(low_share)
    put = [delivery(place, name=name, dead=dead) for place, (name, dead) in enumerate(waiting)]
    for item in put:
        lanes.put(item.queue, item)
    assert lanes.waiting == len(put)
    taken = []
    while (item := lanes.take()) is not None:
        taken.append(item)
    assert Counter(map(id, taken)) == Counter(id(item) for item in put if item.alive)
    assert not lanes.waiting


def test_a_provider_is_tried_with_the_most_urgent_of_those_tried_least() -> None:
    lanes = Lanes(low_share=0.0)
    waiting = {name: delivery(name=name) for name in ("urgent", "normal", "low")}
    for name, item in waiting.items():
        lanes.put(name, item)
    tried = {hash(waiting["urgent"].message.body): 2, hash(waiting["low"].message.body): 1}
    order = [lanes.take_least_tried(tried) for _ in range(4)]
    assert order == [waiting["normal"], waiting["low"], waiting["urgent"], None]
    assert not lanes.waiting


def test_what_the_broker_has_taken_back_is_no_provider_tried_with() -> None:
    lanes = Lanes(low_share=0.0)
    gone, left = delivery(dead=True), delivery()
    lanes.put("urgent", gone)
    lanes.put("low", left)
    assert lanes.take_least_tried({1: 1}) is left
    assert lanes.take_least_tried({1: 1}) is None
    assert not lanes.waiting
