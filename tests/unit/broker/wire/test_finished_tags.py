"""Acks, coalesced: every finished delivery acknowledged once, and nothing else."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tidings.broker.wire.settlement import FinishedTags


class Broker(RuleBasedStateMachine):
    """RabbitMQ's side of a channel: it closes the channel over an ack for a tag it doesn't hold."""

    def __init__(self) -> None:
        super().__init__()
        self.tags = FinishedTags()
        self.last = 0
        self.outstanding: set[int] = set()
        self.finished: set[int] = set()

    @rule(count=st.integers(1, 5))
    def deliver(self, count: int) -> None:
        self.outstanding |= set(range(self.last + 1, self.last + 1 + count))
        self.last += count

    @precondition(lambda self: self.outstanding - self.finished)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        tag = data.draw(st.sampled_from(sorted(self.outstanding - self.finished)))
        self.finished.add(tag)
        self.tags.add(tag)

    @precondition(lambda self: self.outstanding - self.finished)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        tag = data.draw(st.sampled_from(sorted(self.outstanding - self.finished)))
        self.outstanding.remove(tag)
        self.tags.settled(tag)

    @rule(all_of_them=st.booleans())
    def flush(self, all_of_them: bool) -> None:
        if prefix := self.tags.take_prefix():
            assert prefix in self.outstanding
            covered = {tag for tag in self.outstanding if tag <= prefix}
            assert covered <= self.finished
            self.outstanding -= covered
        for tag in self.tags.take_singles(all_of_them=all_of_them):
            assert tag in self.outstanding & self.finished
            self.outstanding.remove(tag)
        if all_of_them:
            assert not self.outstanding & self.finished

    @invariant()
    def what_is_left_is_what_finished_and_is_outstanding(self) -> None:
        assert self.tags.left == len(self.outstanding & self.finished)

    @invariant()
    def what_is_unsettled_up_to_any_of_them_is_outstanding(self) -> None:
        for last in range(self.last + 1):
            expected = sum(tag <= last for tag in self.outstanding)
            assert self.tags.unsettled(last) == expected

    def teardown(self) -> None:
        self.flush(all_of_them=True)
        assert not self.outstanding & self.finished


TestTagsFinishedInAnyOrder = Broker.TestCase
TestTagsFinishedInAnyOrder.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None
)


def finished(*numbers: int) -> FinishedTags:
    tags = FinishedTags()
    for number in numbers:
        tags.add(number)
    return tags


def test_what_finished_in_order_is_one_ack() -> None:
    tags = finished(1, 2, 3)
    assert tags.take_prefix() == 3
    assert tags.take_singles() == []
    assert not tags.left


def test_order_of_finishing_does_not_matter() -> None:
    assert finished(3, 1, 2).take_prefix() == 3


def test_behind_a_slow_one_the_next_look_acknowledges_singly() -> None:
    tags = finished(1, 3, 4)
    assert tags.take_prefix() == 1
    assert tags.take_singles() == [], "a moment's patience: 2 may be about to finish"
    tags.add(6)
    assert tags.take_prefix() == 0
    assert tags.take_singles() == [3, 4]
    assert tags.take_singles() == [6]


def test_once_the_slow_one_is_finished_no_acknowledged_tag_is_named_again() -> None:
    tags = finished(2, 3)
    assert tags.take_singles(all_of_them=True) == [2, 3]
    tags.add(1)
    assert tags.take_prefix() == 1
    tags.add(4)
    assert tags.take_prefix() == 4


def test_a_prefix_that_was_acknowledged_singly_needs_no_further_ack() -> None:
    tags = finished(2)
    assert tags.take_singles(all_of_them=True) == [2]
    tags.settled(1)
    assert tags.take_prefix() == 0
    assert not tags.left
