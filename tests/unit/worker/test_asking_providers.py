"""Providers are asked in order, and the next one only where it is certain that nothing was sent."""

from collections import deque
from contextlib import suppress

import pytest
from tests.support.attempts import attempt_of
from tests.support.garbage import errors_that_hold_themselves

from tidings.delivery.circuit import Circuit, CircuitPolicy, Phase
from tidings.delivery.errors import (
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
from tidings.testing import ScriptedChannel
from tidings.worker.providers import Provider, Providers

REQUEST = SendRequest(attempt_of(), Content("Hello"), 5.0)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Two:
    """Two providers that fail as they are told, and take everything else."""

    def __init__(self, failures: int = 2) -> None:
        self.clock = Clock()
        self.troubles: dict[str, deque[Exception]] = {"primary": deque(), "backup": deque()}
        policy = CircuitPolicy(failures=failures, probe=5.0, places=1)
        self.channels = {name: self._channel(name) for name in self.troubles}
        self.providers = Providers(
            [
                Provider(name, channel, Circuit(policy, self.clock, lambda: 0.0))
                for name, channel in self.channels.items()
            ]
        )
        self.primary, self.backup = (one.circuit for one in self.providers.all)

    def _channel(self, name: str) -> ScriptedChannel:
        queue = self.troubles[name]
        return ScriptedChannel(script=lambda *_: queue.popleft() if queue else None)

    @property
    def asked(self) -> list[int]:
        return [len(channel.requests) for channel in self.channels.values()]

    async def send(self) -> list[tuple[str, str]]:
        """Who was asked and what came of it; nothing where the preferred one simply sent it."""
        sent = await self.providers.send(REQUEST)
        return [(one.provider, one.kind) for one in sent.tries]

    async def failure(self) -> DeliveryError:
        with pytest.raises(DeliveryError) as caught:
            await self.providers.send(REQUEST)
        return caught.value


async def test_while_all_is_well_only_the_preferred_one_is_asked() -> None:
    two = Two()
    assert [await two.send() for _ in range(5)] == [[]] * 5
    assert two.asked == [5, 0]


@pytest.mark.parametrize("error", [Unavailable("451"), Throttled("slow"), Misconfigured("535")])
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
    assert two.asked == [1, 0]


async def test_what_a_fallback_says_for_good_counts_and_both_are_named() -> None:
    two = Two()
    two.troubles["primary"].append(Unavailable("451"))
    two.troubles["backup"].append(Rejected("no such user", code="550"))
    error = await two.failure()
    assert type(error) is Rejected
    assert [(one.provider, one.kind, one.code) for one in error.tries] == [
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
    assert two.providers.places > 1  # the channel goes on
    two.clock.now += 5.0
    assert await two.send() == [("primary", "out_of_service"), ("backup", "sent")]  # a probe
    two.clock.now += 10.0
    assert await two.send() == []
    assert two.primary.phase is Phase.CLOSED
    assert two.asked == [4, 4]


async def test_where_all_are_down_nobody_is_asked_and_no_attempt_is_spent() -> None:
    two = Two(failures=1)
    for name in two.troubles:
        two.troubles[name].append(Unavailable("451 down"))
    assert type(await two.failure()) is Unavailable
    assert (two.providers.places, two.providers.wait()) == (0, 5.0)
    error = await two.failure()
    assert type(error) is OutOfService
    assert "primary (451 down), backup (451 down)" in error.message
    assert two.asked == [1, 1]


async def test_a_channel_with_one_provider_keeps_no_tries() -> None:
    trouble = [Unavailable("451")]
    only = ScriptedChannel(script=lambda *_: trouble.pop() if trouble else None)
    providers = Providers([Provider("primary", only, Circuit(CircuitPolicy()))])
    with pytest.raises(Unavailable) as caught:
        await providers.send(REQUEST)
    assert caught.value.tries == ()
    assert (await providers.send(REQUEST)).tries == ()
