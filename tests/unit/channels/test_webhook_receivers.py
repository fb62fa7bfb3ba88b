"""Who may be asked now: receivers that answer soon always, and of the others a few of each."""

import heapq
import itertools
from collections.abc import Callable
from functools import partial
from random import Random

import pytest

from tidings.channels.webhook.receivers import (
    CREDIT,
    LONGEST_PAUSE,
    REMEMBERED,
    SLOW_SHARE,
    Answer,
    Decision,
    Postponement,
    Receivers,
    origin_of,
)
from tidings.channels.webhook.requests import BYTES_ASIDE, Receiver, ReceiverRequest

HOST = "https://one.example"
ROOM = 100
PLACES = ROOM // 2
"""That a channel has, which has such a room."""
WAITS = (2.0, 5.0, 10.0, 20.0, 40.0, 60.0, 120.0, 240.0)


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Rig:
    """Receivers on a clock of their own."""

    def __init__(self, room: int = ROOM, most: int = 5, tries: int = 0) -> None:
        self.clock = Clock()
        self.receivers = Receivers(room, tries, most, 5.0, WAITS, self.clock)

    def ask(self, origin: str = HOST, size: int = 100) -> ReceiverRequest | Decision:
        """Its turn, where it may be asked; else what is to be done."""
        decision = self.receivers.decide(origin, size)
        if decision in {Decision.WAIT, Decision.POSTPONE}:
            return decision
        return self.receivers.begin(origin, size, decision)

    def answers(self, origin: str = HOST, times: int = 1, after: float = 0.1) -> None:
        """One by one, each after so many seconds."""
        for _ in range(times):
            request = self.ask(origin)
            assert isinstance(request, ReceiverRequest)
            self.clock.now += after
            if after >= self.receivers.soon:
                self.receivers.late(request)
            self.receivers.end(request, Answer.ANSWERED)

    def is_silent(self, origin: str = HOST, times: int = 1) -> None:
        """Leaves so many unanswered, for a while each."""
        for _ in range(times):
            request = self.ask(origin)
            assert isinstance(request, ReceiverRequest), request
            self.receivers.late(request)
            self.clock.now += 15
            self.receivers.end(request, Answer.UNANSWERED)

    def hangs(self, origin: str, times: int) -> list[ReceiverRequest]:
        """As many as may be begun of so many, none of which ends; all are late."""
        requests = [
            request
            for _ in range(times)
            if isinstance(request := self.ask(origin), ReceiverRequest)
        ]
        self.clock.now += self.receivers.soon
        for request in requests:
            self.receivers.late(request)
        return requests


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_a_receiver_that_answers_soon_is_asked_without_limit(rig: Rig) -> None:
    rig.answers()

    requests = [rig.ask() for _ in range(1000)]

    assert all(isinstance(request, ReceiverRequest) and not request.aside for request in requests)


def test_what_is_not_known_yet_takes_no_place_and_half_of_the_room_at_most(rig: Rig) -> None:
    requests = [rig.ask() for _ in range(ROOM)]

    begun = [request for request in requests if isinstance(request, ReceiverRequest)]
    assert len(begun) == ROOM / 2
    assert all(request.aside for request in begun)
    assert requests[-1] is Decision.WAIT


def test_the_first_answer_opens_the_door_for_all(rig: Rig) -> None:
    first, *_ = (request for _ in range(ROOM) if isinstance(request := rig.ask(), ReceiverRequest))
    assert rig.ask() is Decision.WAIT
    rig.receivers.end(first, Answer.ANSWERED)

    assert isinstance(rig.ask(), ReceiverRequest)


def test_many_that_hang_leave_those_alone_that_answer(rig: Rig) -> None:
    rig.answers("https://good.example")
    for number in range(500):
        rig.hangs(f"https://{number}.example", 1)
    assert rig.ask("https://new.example") is Decision.WAIT
    assert rig.receivers.full

    good = rig.ask("https://good.example")

    assert isinstance(good, ReceiverRequest)
    assert not good.aside


def test_each_of_many_that_hang_has_a_share(rig: Rig) -> None:
    had = [len(rig.hangs(f"https://{number}.example", 200)) for number in range(4)]

    assert had[0] == ROOM / 2
    assert had == sorted(had, reverse=True)
    assert all(had)


def test_one_that_hangs_after_it_answered_soon_gives_its_places_away(rig: Rig) -> None:
    rig.answers(times=10)
    burst = [request for _ in range(50) if isinstance(request := rig.ask(), ReceiverRequest)]
    assert not any(request.aside for request in burst)
    rig.clock.now += rig.receivers.soon

    assert all(rig.receivers.late(request) for request in burst)
    while isinstance(request := rig.ask(), ReceiverRequest):
        burst.append(request)
    assert len(burst) == ROOM * SLOW_SHARE
    assert request is Decision.POSTPONE


def test_the_late_give_their_places_away_where_the_room_is_full_already() -> None:
    rig = Rig(room=10)
    rig.answers(times=10)
    burst = [request for _ in range(50) if isinstance(request := rig.ask(), ReceiverRequest)]

    assert [rig.receivers.late(request) for request in burst] == [True] * 20 + [False] * 30


def test_one_late_answer_takes_all_credit() -> None:
    rig = Rig()
    rig.answers(times=10)
    rig.hangs(HOST, 1)

    request = rig.ask()

    assert isinstance(request, ReceiverRequest)
    assert request.aside


def fall_silent_together(rig: Rig, count: int) -> list[str]:
    """As many receivers as that, which answered well before."""
    hosts = [f"https://{number}.example" for number in range(count)]
    for host in [*hosts, "https://good.example"]:
        rig.answers(host, times=10)
    return hosts


@pytest.mark.parametrize("count", [50, 200, 500])
def test_where_many_that_answered_fall_silent_together_each_late_one_gives_its_place_away(
    count: int,
) -> None:
    rig, places = Rig(), PLACES
    hosts = fall_silent_together(rig, count)
    for _ in range(10):  # seconds, in each of which whatever place is free is taken
        begun: list[ReceiverRequest] = []
        for host in hosts:
            request = rig.ask(host)
            if isinstance(request, ReceiverRequest):
                begun.append(request)
            if sum(not request.aside for request in begun) == places:
                break
        rig.answers("https://good.example")
        rig.clock.now += rig.receivers.soon
        in_places = [request for request in begun if not request.aside]
        for request in begun:
            assert rig.receivers.late(request) == (request in in_places)

    good = rig.ask("https://good.example")
    assert isinstance(good, ReceiverRequest)
    assert not good.aside


def test_one_that_leaves_something_unanswered_is_put_off_while_the_room_is_full(rig: Rig) -> None:
    rig.hangs(HOST, 1)
    rig.answers(times=10)
    for number in range(500):
        rig.hangs(f"https://{number}.example", 1)

    assert rig.receivers.full
    assert rig.ask() is Decision.POSTPONE


def test_one_that_stops_answering_is_not_taken_for_one_that_answers(rig: Rig) -> None:
    rig.answers(times=3, after=3.0)
    rig.is_silent(times=4)
    assert rig.receivers.postponed(HOST).answers
    rig.is_silent()

    assert rig.receivers.postponed(HOST) == Postponement(5.0)


def test_one_that_left_its_first_unanswered_comes_back_like_one_that_failed(rig: Rig) -> None:
    rig.is_silent()

    assert rig.receivers.postponed(HOST) == Postponement(0.0)


def test_those_for_one_that_is_being_tried_come_back_soon(rig: Rig) -> None:
    rig.hangs(HOST, 1)

    assert rig.receivers.postponed(HOST) == Postponement(WAITS[0], no_later=True)


def test_the_longer_one_is_silent_that_is_being_tried_the_later_the_others_come_back(
    rig: Rig,
) -> None:
    rig.hangs(HOST, 2)
    rig.clock.now += 10

    waits = [rig.receivers.postponed(HOST).wait for _ in range(10)]

    assert waits == [2.0, 5.0, 10.0, 10.0, 20.0, 20.0, 20.0, 20.0, 40.0, 40.0]


def test_the_first_to_each_receiver_takes_no_room_from_others() -> None:
    rig = Rig(tries=ROOM)
    for number in range(ROOM):
        assert rig.hangs(f"https://{number}.example", 1)

    assert not rig.receivers.full
    request = rig.ask("https://new.example")
    assert isinstance(request, ReceiverRequest)
    assert request.room is rig.receivers._room


def test_a_new_one_is_tried_however_many_that_answered_have_fallen_silent() -> None:
    rig = Rig(tries=1)
    rig.answers(times=10)
    burst = [request for _ in range(4 * ROOM) if isinstance(request := rig.ask(), ReceiverRequest)]
    assert [rig.receivers.late(request) for request in burst].count(True) == 2 * ROOM

    request = rig.ask("https://new.example")

    assert isinstance(request, ReceiverRequest)
    assert request.room is rig.receivers._tries


def test_what_comes_behind_the_first_takes_none_of_the_room_for_first_ones() -> None:
    rig = Rig(tries=ROOM)
    rooms = [request.room for _ in range(3) if isinstance(request := rig.ask(), ReceiverRequest)]

    assert rooms == [rig.receivers._tries, rig.receivers._room, rig.receivers._room]


def test_one_that_was_tried_in_vain_is_not_tried_as_a_new_one() -> None:
    rig = Rig(tries=ROOM)
    rig.is_silent()

    request = rig.ask()

    assert isinstance(request, ReceiverRequest)
    assert request.room is rig.receivers._room


def test_a_first_one_that_ends_leaves_its_room() -> None:
    rig = Rig(room=1, tries=1)
    for number in range(10):
        request = rig.ask(f"https://{number}.example", BYTES_ASIDE)
        assert isinstance(request, ReceiverRequest)
        assert request.room is rig.receivers._tries
        rig.receivers.end(request, Answer.UNANSWERED)


def test_where_more_wait_to_be_tried_than_can_be_they_come_back_as_fast_as_others_end() -> None:
    rig = Rig(room=1, tries=10)
    for number in range(100):
        request = rig.ask(f"https://{number}.example")
        assert isinstance(request, ReceiverRequest)
        rig.clock.now += 10
        rig.receivers.end(request, Answer.UNANSWERED)
    now = [rig.receivers.postponed(f"https://new-{number}.example") for number in range(60)]

    assert all(postponement.no_later and not postponement.answers for postponement in now)
    waits = [postponement.wait for postponement in now]
    # Ten at a time, ten seconds each: one a second.
    assert waits == sorted(waits)
    counted = [waits.count(wait) for wait in WAITS[:4]]
    assert counted == pytest.approx([5, 5, 10, 20], abs=1)


def drained(count: int, quickest: float, slowest: float) -> tuple[float, float]:
    """A burst of so many to one receiver that takes so long: how many a second, how often each was put off."""
    rig, random, order = Rig(tries=400), Random(1), itertools.count()
    begun, postponed = rig.clock.now, 0
    events: list[tuple[float, int, Callable[[], None]]] = []

    def after(seconds: float, happens: Callable[[], None]) -> None:
        heapq.heappush(events, (rig.clock.now + seconds, next(order), happens))

    def come() -> None:
        nonlocal postponed
        request = rig.ask()
        if isinstance(request, ReceiverRequest):
            took = random.uniform(quickest, slowest)
            after(took, partial(rig.receivers.end, request, Answer.ANSWERED))
            if took > rig.receivers.soon:
                after(rig.receivers.soon, partial(_late, request))
        else:
            postponed += 1
            wait = rig.receivers.postponed(HOST)
            assert wait.no_later
            after(wait.wait, come)

    def _late(request: ReceiverRequest) -> None:
        rig.receivers.late(request)

    for number in range(count):
        after(number / 500, come)
    while events:
        rig.clock.now, _, happens = heapq.heappop(events)
        happens()
    return count / (rig.clock.now - begun), postponed / count


@pytest.mark.parametrize("count", [1000, 5000])
@pytest.mark.parametrize(("quickest", "slowest"), [(0.7, 4.0), (1.5, 2.5), (4.0, 4.0)])
def test_a_slow_receiver_that_is_alone_is_never_idle_for_long(
    count: int, quickest: float, slowest: float
) -> None:
    rate, postponed = drained(count, quickest, slowest)

    assert rate > 0.85 * PLACES / ((quickest + slowest) / 2)
    assert postponed < 5


def test_a_slow_receiver_that_is_alone_has_most_of_the_room_and_leaves_some_for_those_not_known_yet(
    rig: Rig,
) -> None:
    rig.answers(times=2, after=3.0)

    begun = [request for _ in range(ROOM) if isinstance(request := rig.ask(), ReceiverRequest)]

    assert rig.ask() is Decision.POSTPONE
    assert len(begun) == ROOM * SLOW_SHARE
    assert isinstance(rig.ask("https://new.example"), ReceiverRequest)


def test_one_late_answer_among_many_makes_nobody_slow(rig: Rig) -> None:
    rig.answers(times=20)
    for _ in range(10):
        rig.answers(after=3.0)
        rig.answers(times=3)

    request = rig.ask()
    assert isinstance(request, ReceiverRequest)
    assert not request.aside


def test_a_slow_one_that_answers_soon_again_is_forgiven_by_and_by(rig: Rig) -> None:
    rig.answers(times=20, after=3.0)
    rig.answers(times=CREDIT)
    request = rig.ask()
    assert isinstance(request, ReceiverRequest)
    assert request.aside
    rig.receivers.end(request, Answer.ANSWERED)

    request = rig.ask()
    assert isinstance(request, ReceiverRequest)
    assert not request.aside


def test_one_that_left_five_unanswered_rests_and_then_one_tries_it(rig: Rig) -> None:
    rig.is_silent(times=5)
    assert rig.ask() is Decision.POSTPONE
    assert rig.receivers.postponed(HOST).wait == 5.0
    rig.clock.now += 5

    probe = rig.ask()

    assert isinstance(probe, ReceiverRequest)
    assert probe.aside
    assert rig.ask() is Decision.POSTPONE


def test_many_that_are_tried_again_together_take_nothing_from_one_that_answers_slowly(
    rig: Rig,
) -> None:
    silent = [f"https://{number}.example" for number in range(5 * ROOM)]
    for _ in range(5):
        requests = [rig.receivers.begin(origin, 100, Decision.SEND) for origin in silent]
        for request in requests:
            rig.receivers.end(request, Answer.UNANSWERED)
    rig.answers("https://slow.example", times=5, after=3.0)
    rig.clock.now += 5

    probes = [
        request for origin in silent if isinstance(request := rig.ask(origin), ReceiverRequest)
    ]

    assert len(probes) == ROOM / 2
    assert not rig.receivers.full
    assert isinstance(rig.ask("https://slow.example"), ReceiverRequest)
    for probe in probes:
        rig.receivers.end(probe, Answer.ANSWERED)
    assert sum(isinstance(rig.ask(origin), ReceiverRequest) for origin in silent[ROOM:]) == ROOM / 2


def test_it_rests_twice_as_long_each_time_up_to_five_minutes(rig: Rig) -> None:
    rig.is_silent(times=5)
    pauses = []
    for _ in range(10):
        pauses.append(rig.receivers.postponed(HOST).wait)
        rig.clock.now += pauses[-1]
        rig.is_silent()

    assert pauses == [5, 10, 20, 40, 80, 160, 300, 300, 300, 300]
    assert pauses[-1] == 5 * LONGEST_PAUSE


def test_the_failures_of_one_burst_make_it_rest_once(rig: Rig) -> None:
    for request in rig.hangs(HOST, 50):
        rig.receivers.end(request, Answer.UNANSWERED)

    assert rig.receivers.postponed(HOST).wait == 5.0


def test_any_answer_to_the_one_that_tries_ends_the_pause(rig: Rig) -> None:
    rig.is_silent(times=5)
    rig.clock.now += 5
    rig.answers()

    assert isinstance(rig.ask(), ReceiverRequest)
    assert isinstance(rig.ask(), ReceiverRequest)
    assert rig.receivers.postponed(HOST).no_later


def test_one_that_answers_between_is_never_paused(rig: Rig) -> None:
    for _ in range(5):
        rig.is_silent(times=4)
        rig.answers()

    assert isinstance(rig.ask(), ReceiverRequest)


def test_where_the_setting_is_0_no_receiver_is_paused() -> None:
    rig = Rig(most=0)
    rig.is_silent(times=50)

    assert isinstance(rig.ask(), ReceiverRequest)


def test_what_is_cut_off_says_nothing(rig: Rig) -> None:
    for request in [rig.ask() for _ in range(20)]:
        assert isinstance(request, ReceiverRequest)
        rig.receivers.end(request, Answer.WITHDRAWN)

    assert isinstance(rig.ask(), ReceiverRequest)
    assert rig.receivers.postponed(HOST).no_later


def test_large_bodies_aside_are_bounded_by_their_bytes(rig: Rig) -> None:
    half = BYTES_ASIDE // 2
    assert isinstance(rig.ask("https://1.example", half), ReceiverRequest)
    assert isinstance(rig.ask("https://2.example", half), ReceiverRequest)
    assert rig.ask("https://3.example", half) is Decision.WAIT


def test_one_body_that_is_larger_than_all_may_be_goes_alone(rig: Rig) -> None:
    request = rig.ask(size=2 * BYTES_ASIDE)
    assert isinstance(request, ReceiverRequest)
    assert rig.ask("https://2.example", 1) is Decision.WAIT
    rig.receivers.end(request, Answer.UNANSWERED)
    assert isinstance(rig.ask("https://2.example", 1), ReceiverRequest)


def test_only_the_newest_are_remembered() -> None:
    rig = Rig()
    for number in range(REMEMBERED + 10):
        rig.answers(f"https://{number}.example")

    assert len(rig.receivers._known) == REMEMBERED


def test_one_that_is_being_asked_is_not_forgotten(rig: Rig) -> None:
    request = rig.ask()
    assert isinstance(request, ReceiverRequest)
    for number in range(REMEMBERED + 10):
        rig.answers(f"https://{number}.example")

    assert rig.receivers._known[HOST] is request.receiver


def test_what_ends_late_takes_nothing_from_what_is_known_meanwhile(rig: Rig) -> None:
    request = rig.ask()
    assert isinstance(request, ReceiverRequest)
    known = rig.receivers._known[HOST] = Receiver(HOST)
    rig.receivers.end(request, Answer.WITHDRAWN)

    assert rig.receivers._known[HOST] is known


def test_nothing_is_remembered_of_whom_nothing_is_known(rig: Rig) -> None:
    for number in range(100):
        request = rig.ask(f"https://{number}.example")
        assert isinstance(request, ReceiverRequest)
        rig.receivers.end(request, Answer.WITHDRAWN)

    assert not rig.receivers._known


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://One.Example/hooks?x=1", "https://one.example"),
        ("HTTPS://one.example:443/", "https://one.example"),
        ("https://one.example.:443", "https://one.example"),
        ("https://one.example:8443/a", "https://one.example:8443"),
        ("http://one.example:443/", "http://one.example:443"),
        ("http://one.example:80#f", "http://one.example"),
        ("http://[::1]:8080/", "http://[::1]:8080"),
        ("http://127.0.0.1?x", "http://127.0.0.1"),
    ],
)
def test_a_receiver_is_scheme_host_and_port_in_one_spelling(url: str, expected: str) -> None:
    assert origin_of(url) == expected
