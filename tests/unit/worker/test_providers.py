"""Providers are called in order, and the next one only if certainly nothing was sent."""

from collections import deque
from contextlib import suppress

import pytest
from tests.doubles.channel import ScriptedChannel
from tests.support.attempts import attempt_of
from tests.support.garbage import errors_that_hold_themselves

from tidings.delivery.circuit import Circuit, CircuitPolicy, Phase
from tidings.delivery.errors import (
    Deferred,
    DeliveryError,
    Misconfigured,
    OutcomeUnknown,
    OutOfService,
    Rejected,
    Throttled,
    Unavailable,
)
from tidings.delivery.outcome import Sent
from tidings.delivery.ports import Content, SendRequest
from tidings.worker.providers import Provider, Providers

REQUEST = SendRequest(attempt_of(), Content("Hello"), 5.0)


def another() -> SendRequest:
    """A new notification."""
    return SendRequest(attempt_of(), Content("Hello"), 5.0)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Two:
    """Two providers that fail as they are told, and take everything else."""

    def __init__(self, failures: int = 2) -> None:
        self.clock = Clock()
        self.troubles: dict[str, deque[Exception]] = {"primary": deque(), "backup": deque()}
        policy = CircuitPolicy(failures=failures, probe=5.0, slots=1)
        self.channels = {name: self._channel(name) for name in self.troubles}
        self.providers = Providers(
            [
                Provider(name, channel, Circuit(policy, self.clock, lambda: 0.0))
                for name, channel in self.channels.items()
            ]
        )
        self.primary, self.backup = (provider.circuit for provider in self.providers.all)

    def _channel(self, name: str) -> ScriptedChannel:
        queue = self.troubles[name]
        return ScriptedChannel(script=lambda *_: queue.popleft() if queue else None)

    @property
    def calls(self) -> list[int]:
        return [len(channel.requests) for channel in self.channels.values()]

    async def send(self) -> list[tuple[str, str]]:
        """The provider attempts; empty if the preferred provider sent it."""
        sent = await self.providers.send(another())
        return [(attempt.provider, attempt.kind) for attempt in sent.provider_attempts]

    async def failure(self, request: SendRequest | None = None) -> DeliveryError:
        with pytest.raises(DeliveryError) as caught:
            await self.providers.send(request or another())
        return caught.value


async def test_while_all_is_well_only_the_preferred_one_is_asked() -> None:
    two = Two()
    assert [await two.send() for _ in range(5)] == [[]] * 5
    assert two.calls == [5, 0]


@pytest.mark.parametrize(
    "error", [Unavailable("451"), Deferred("452"), Throttled("slow"), Misconfigured("535")]
)
async def test_where_nothing_was_sent_the_next_one_is_asked_in_the_same_attempt(
    error: DeliveryError,
) -> None:
    two = Two()
    two.troubles["primary"].append(error)
    assert await two.send() == [("primary", error.kind), ("backup", "sent")]


@pytest.mark.parametrize("error", [Rejected("550"), OutcomeUnknown("no reply"), KeyError("a bug")])
async def test_where_it_may_have_been_sent_or_never_can_be_nobody_else_is_asked(
    error: Exception,
) -> None:
    two = Two()
    two.troubles["primary"].append(error)
    with pytest.raises(type(error)) as caught:
        await two.providers.send(REQUEST)
    assert caught.value is error
    assert two.calls == [1, 0]


async def test_what_a_fallback_says_for_good_counts_and_both_are_named() -> None:
    two = Two()
    two.troubles["primary"].append(Unavailable("451"))
    two.troubles["backup"].append(Rejected("no such user", code="550"))
    error = await two.failure()
    assert type(error) is Rejected
    assert [
        (attempt.provider, attempt.kind, attempt.code) for attempt in error.provider_attempts
    ] == [
        ("primary", "unavailable", ""),
        ("backup", "rejected", "550"),
    ]


async def test_where_all_fail_the_preferred_one_s_word_counts() -> None:
    two = Two()
    two.troubles["primary"].append(Throttled("slow down", retry_after=60))
    two.troubles["backup"].append(Unavailable("451"))
    error = await two.failure()
    assert isinstance(error, Throttled)
    assert error.retry_after == 60


@pytest.mark.parametrize("answer", [Deferred("mailbox full"), Rejected("no such user")])
async def test_what_is_said_of_one_notification_opens_no_circuit_and_is_its_own_result(
    answer: DeliveryError,
) -> None:
    two = Two(failures=2)
    two.troubles["primary"].extend([answer] * 100)
    two.troubles["backup"].extend([answer] * 100)
    assert {type(await two.failure()) for _ in range(100)} == {type(answer)}
    assert two.primary.phase is Phase.CLOSED


@pytest.mark.parametrize("answer", [Deferred("mailbox full"), Rejected("no such user")])
async def test_a_probe_that_is_answered_for_itself_shows_that_the_provider_is_back(
    answer: DeliveryError,
) -> None:
    two = Two(failures=1)
    two.troubles["primary"].extend([Unavailable("down"), answer])
    two.troubles["backup"].extend([Unavailable("down"), answer])
    await two.failure()
    two.clock.now += 5.0
    assert type(await two.failure()) is type(answer)
    assert two.primary.phase is Phase.CLOSED


class Only:
    """One provider without a fallback, that fails as long as it has an error to fail with."""

    def __init__(self, error: DeliveryError | None = None, failures: int = 1) -> None:
        self.error, self.clock = error, Clock()
        policy = CircuitPolicy(failures=failures, probe=5.0, slots=1)
        self.circuit = Circuit(policy, self.clock, lambda: 0.0)
        channel = ScriptedChannel(script=lambda *_: self.error)
        self.providers = Providers([Provider("primary", channel, self.circuit)])

    async def send(self, request: SendRequest) -> type[DeliveryError] | None:
        """What came of it; None where it was sent."""
        try:
            await self.providers.send(request)
        except DeliveryError as error:
            return type(error)
        return None

    async def send_another(self) -> type[DeliveryError] | None:
        """The same for a new notification without a fault."""
        error, self.error = self.error, None
        try:
            return await self.send(another())
        finally:
            self.error = error


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (Unavailable("451"), Unavailable),
        (Misconfigured("554 relay access denied"), Deferred),
        (OutcomeUnknown("lost"), OutcomeUnknown),
    ],
)
async def test_one_that_fails_again_while_others_are_sent_opens_no_circuit_and_spends_its_attempt(
    error: DeliveryError, meaning: type[DeliveryError]
) -> None:
    only, odd = Only(error), another()
    await only.send(odd)
    assert only.circuit.phase is Phase.OPEN
    only.clock.now += 5.0
    for _ in range(3):
        assert await only.send_another() is None
        assert await only.send(odd) is meaning
        assert only.circuit.phase is Phase.CLOSED


async def test_a_suspect_that_fails_as_a_probe_keeps_its_attempt_and_another_is_tried_soon() -> (
    None
):
    only, odd = Only(Unavailable("down")), another()
    await only.send(odd)
    only.clock.now += 5.0
    await only.send_another()
    assert await only.send(another()) is Unavailable
    only.clock.now += 5.0
    assert await only.send(odd) is OutOfService
    assert (only.circuit.phase, only.circuit.wait()) == (Phase.OPEN, 0.5)
    only.clock.now += 0.5
    assert await only.send_another() is None
    assert await only.send(odd) is Unavailable  # others are sent again: it has itself to blame


async def test_an_outage_spends_no_attempt_of_those_that_failed_in_an_earlier_one() -> None:
    only, repeat_failures = Only(Unavailable("down"), failures=10), [another() for _ in range(300)]
    for request in repeat_failures:
        await only.send(request)
        await only.send_another()
    while only.circuit.phase is not Phase.OPEN:
        await only.send(another())
    pauses = []
    for request in repeat_failures:
        pauses.append(only.circuit.wait())
        only.clock.now += only.circuit.wait()
        assert await only.send(request) is OutOfService
    assert pauses == [5.0] + [0.5] * 299


async def test_one_that_fails_again_with_nothing_sent_in_between_is_not_to_blame() -> None:
    only, same = Only(Unavailable("down")), another()
    assert await only.send(same) is Unavailable
    for wait in (5.0, 10.0, 20.0):
        only.clock.now += wait
        assert await only.send(same) is OutOfService
    assert (only.circuit.phase, only.circuit.wait()) == (Phase.OPEN, 40.0)


async def test_a_provider_that_throttles_now_and_then_is_believed_each_time() -> None:
    only, same = Only(Throttled("slow down"), failures=2), another()
    for _ in range(2):
        assert await only.send_another() is None
        assert await only.send(same) is Throttled
        assert await only.send(same) is Throttled
        assert only.circuit.phase is Phase.OPEN
        only.clock.now += 5.0


async def test_a_send_for_which_no_connection_became_free_says_nothing_of_the_provider() -> None:
    only = Only(OutOfService("no connection became free"))
    assert {await only.send(another()) for _ in range(20)} == {OutOfService}
    assert only.circuit.phase is Phase.CLOSED


class Down(ScriptedChannel):
    """Never takes anything, and keeps no error."""

    async def send(self, request: SendRequest) -> Sent:
        raise Unavailable("down")


@pytest.mark.parametrize("backup", [ScriptedChannel, Down])
async def test_a_failure_leaves_nothing_for_the_garbage_collector(
    backup: type[ScriptedChannel],
) -> None:
    providers = Providers(
        [
            Provider(channel.__name__, channel(), Circuit(CircuitPolicy()))
            for channel in (Down, backup)
        ]
    )
    with errors_that_hold_themselves(DeliveryError) as left, suppress(DeliveryError):
        await providers.send(REQUEST)
    assert left == []


async def test_one_that_is_known_to_be_down_is_passed_over_and_preferred_again_once_it_is_back() -> (
    None
):
    two = Two()
    two.troubles["primary"].extend([Unavailable("down")] * 3)
    assert [len(await two.send()) for _ in range(2)] == [2, 2]
    assert two.primary.phase is Phase.OPEN
    assert await two.send() == [("primary", "not_asked"), ("backup", "sent")]
    assert two.providers.slots > 1  # the channel goes on
    two.clock.now += 5.0
    assert await two.send() == [("primary", "out_of_service"), ("backup", "sent")]  # a probe
    two.clock.now += 10.0
    assert await two.send() == []
    assert two.primary.phase is Phase.CLOSED
    assert two.calls == [4, 4]


async def test_where_all_are_down_nobody_is_asked_and_no_attempt_is_spent() -> None:
    two = Two(failures=1)
    for name in two.troubles:
        two.troubles[name].append(Unavailable("451 down"))
    assert type(await two.failure()) is Unavailable
    assert (two.providers.slots, two.providers.wait()) == (0, 5.0)
    error = await two.failure()
    assert type(error) is OutOfService
    assert "primary (451 down), backup (451 down)" in error.message
    assert two.calls == [1, 1]


async def test_a_channel_with_one_provider_keeps_no_tries() -> None:
    last_error = [Unavailable("451")]
    only = ScriptedChannel(script=lambda *_: last_error.pop() if last_error else None)
    providers = Providers([Provider("primary", only, Circuit(CircuitPolicy()))])
    with pytest.raises(Unavailable) as caught:
        await providers.send(REQUEST)
    assert caught.value.provider_attempts == ()
    assert (await providers.send(REQUEST)).provider_attempts == ()
