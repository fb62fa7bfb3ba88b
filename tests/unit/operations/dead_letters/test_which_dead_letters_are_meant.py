"""Any face reads a filter, a rate and the waves of a replay alike, and hears which value is wrong."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from tidings.delivery.dead_letter import DeadLetterState
from tidings.delivery.errors import InvalidRequest
from tidings.delivery.id_prefix import IdPrefix
from tidings.operations.dead_letters import plan
from tidings.operations.dead_letters.discards import DiscardDryRun
from tidings.operations.dead_letters.query import DeadLetterQuery
from tidings.operations.dead_letters.replays import ReplayRequest

DEAD_LETTER, OTHER = UUID(int=1), UUID(int=2)


def test_a_filter_is_read_from_words() -> None:
    query = DeadLetterQuery.read(since="24h", entity="order:7", to="ada@example.com")
    assert query.narrowed.since is not None
    age = datetime.now(UTC) - query.narrowed.since
    assert age - timedelta(hours=24) < timedelta(minutes=1)
    assert (query.narrowed.entity_type, query.narrowed.entity_id) == ("order", "7")
    assert query.selects
    assert not query.named


def test_states_alone_choose_no_dead_letter_in_particular() -> None:
    assert not DeadLetterQuery.read(states=[DeadLetterState.OPEN]).selects


@pytest.mark.parametrize(
    ("given", "test"),
    [
        ({}, False),
        ({"channel": "email"}, False),
        ({"test": True}, True),
        ({"ids": [IdPrefix.parse(str(DEAD_LETTER))]}, None),
        ({"id_prefix": IdPrefix.parse(str(DEAD_LETTER))}, None),
        ({"ids": [IdPrefix.parse(str(DEAD_LETTER))], "test": True}, True),
    ],
)
def test_tests_are_left_out_unless_they_are_asked_for_or_named(
    given: dict[str, Any], test: bool | None
) -> None:
    query = DeadLetterQuery.read(**given)
    assert query.narrowed.test is test
    assert query.narrowed.selects is bool({"channel", "id_prefix"} & given.keys())


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"since": "yesterday"}, "since"),
        ({"until": ""}, "until"),
        ({"fingerprint": "%"}, "fingerprint"),
        ({"entity": ":7"}, "entity"),
    ],
)
def test_a_value_that_can_t_be_read_is_named(given: dict[str, str], field: str) -> None:
    with pytest.raises(InvalidRequest) as invalid:
        DeadLetterQuery.read(**given)  # type: ignore[arg-type]  # all of these are texts
    assert invalid.value.field == field


@pytest.mark.parametrize(
    ("read", "written", "value"),
    [
        (plan.rate, "100/m", 100 / 60),
        (plan.length, "0", 0.0),
        (plan.length, "5m", 300.0),
        (plan.share, "20%", 0.2),
        (plan.share, "0.2", 0.2),
    ],
)
def test_a_replay_s_numbers_are_read(
    read: Callable[[str], float], written: str, value: float
) -> None:
    assert read(written) == pytest.approx(value)


@pytest.mark.parametrize(
    ("read", "written"),
    [
        (plan.rate, "fast"),
        (plan.length, "long"),
        (plan.share, "0%"),
        (plan.share, "20%x"),
        (plan.waves, "1,0"),
    ],
)
def test_what_is_no_number_of_a_replay_is_refused(
    read: Callable[[str], object], written: str
) -> None:
    with pytest.raises(ValueError, match="write"):
        read(written)


def test_only_force_replays_again_unless_a_dead_letter_is_named() -> None:
    any_ = DeadLetterQuery()
    assert ReplayRequest(any_).states == (DeadLetterState.OPEN,)
    assert DeadLetterState.REPLAYED in ReplayRequest(any_, force=True).states
    assert ReplayRequest(DeadLetterQuery.of([DEAD_LETTER])).states == ()


def test_a_rehearsed_discard_parts_open_dead_letters_from_closed_ones() -> None:
    states = {DEAD_LETTER: DeadLetterState.REPLAYED}
    preview = DiscardDryRun(2, states, ())
    data = preview.as_data()
    assert (data["chosen"], data["would_discard"], data["not_open"]) == (2, 1, [DEAD_LETTER])
