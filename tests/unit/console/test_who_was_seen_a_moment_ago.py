"""People who were signed in are remembered for a while, and no more once their session is over."""

from tidings.console.recollection import KEPT, MOST, Recollection
from tidings.console.visitors import Visitor

JANE = Visitor("jane", None, frozenset(), test=False, csrf="")


def test_a_session_is_remembered_for_a_while() -> None:
    now = [0.0]
    seen = Recollection(lambda: now[0])
    seen.note("token", JANE)
    now[0] = KEPT - 1
    assert seen.of("token") is JANE
    assert seen.of("another") is None
    now[0] = KEPT
    assert seen.of("token") is None


def test_a_session_that_is_over_is_forgotten() -> None:
    seen = Recollection()
    seen.note("token", JANE)
    seen.note("token", None)
    assert seen.of("token") is None


def test_the_oldest_of_too_many_is_forgotten() -> None:
    seen = Recollection()
    for number in range(MOST + 1):
        seen.note(str(number), JANE)
    assert seen.of("0") is None
    assert seen.of("1") is JANE
