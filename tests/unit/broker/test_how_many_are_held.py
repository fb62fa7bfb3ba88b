"""Few messages are held while they are large, or while nobody knows yet how large they are."""

from tidings.broker.adaptive_prefetch import WINDOW, AdaptivePrefetch

MIB = 1024 * 1024
PLAN = 64 * MIB


def fed(appetite: AdaptivePrefetch, size: int, count: int = WINDOW) -> int:
    """How often it changed its mind over so many messages of a size."""
    return sum(appetite.note(size) for _ in range(count))


def test_before_any_is_known_few_are_held() -> None:
    assert AdaptivePrefetch(100, PLAN).most == 32
    assert AdaptivePrefetch(10, PLAN).most == 10


def test_once_a_window_of_them_was_small_as_many_are_held_as_are_wanted() -> None:
    appetite = AdaptivePrefetch(100, PLAN)
    assert fed(appetite, 1_000, WINDOW - 1) == 0
    assert appetite.note(1_000)
    assert appetite.most == 100
    assert fed(appetite, 900, 10 * WINDOW) == 0


def test_a_large_one_counts_at_once_and_until_a_window_had_none() -> None:
    appetite = AdaptivePrefetch(100, PLAN)
    fed(appetite, 1_000)
    assert appetite.note(10 * MIB)
    assert appetite.most == PLAN // (16 * MIB)
    assert fed(appetite, 1_000, WINDOW) == 1
    assert appetite.most == 100


def test_one_is_held_however_large_it_is() -> None:
    appetite = AdaptivePrefetch(100, PLAN)
    appetite.note(200 * MIB)
    assert appetite.most == 1


def test_large_ones_in_every_window_change_nothing_back_and_forth() -> None:
    appetite = AdaptivePrefetch(100, PLAN)
    fed(appetite, 1_000)
    changes = 0
    for _ in range(100):
        changes += appetite.note(10 * MIB) + fed(appetite, 1_000, WINDOW - 2)
    assert changes == 1
