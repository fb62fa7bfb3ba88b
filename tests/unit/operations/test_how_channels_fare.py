"""`tidings channels list` says `delivering` only if some worker delivers."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from tidings.delivery.circuit import Phase
from tidings.delivery.orders import WHOLE_CHANNEL, Order, Verb
from tidings.ledger.operators.controls import ReportedCircuit
from tidings.operations.channels import ChannelStatus, _of_channel

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PAUSE = Order(1, "email", WHOLE_CHANNEL, Verb.PAUSE, "cli jane@desk", "moving", NOW)


def circuit(worker: str, provider: str = "primary", phase: Phase = Phase.OPEN) -> ReportedCircuit:
    return ReportedCircuit(
        "email", provider, worker, phase, "451 try later", NOW, NOW + timedelta(seconds=5)
    )


def fares(
    circuits: Sequence[ReportedCircuit] = (),
    serving: frozenset[str] = frozenset({"a", "b"}),
    providers: Sequence[str] = ("primary",),
    pause: Order | None = None,
) -> list[ChannelStatus]:
    return list(_of_channel("email", pause, dict.fromkeys(providers, ""), circuits, serving))


def test_with_all_well_it_delivers() -> None:
    assert [status.state for status in fares()] == ["delivering", "delivering"]


def test_a_pause_without_a_reason_names_who_ordered_it_and_nothing_more() -> None:
    assert fares(pause=PAUSE)[0].reason == "cli jane@desk: moving"
    assert fares(pause=replace(PAUSE, note=""))[0].reason == "cli jane@desk"


def test_without_a_worker_it_does_not() -> None:
    assert [status.state for status in fares(serving=frozenset())] == ["no_worker", "no_worker"]


def test_with_its_only_provider_down_everywhere_it_is_suspended() -> None:
    channel, provider = fares([circuit("a"), circuit("b", phase=Phase.PROBING)])
    assert (channel.state, channel.workers, channel.serving) == ("suspended", 2, 2)
    assert (provider.state, provider.workers, provider.serving) == ("down", 2, 2)


def test_with_its_provider_down_for_one_worker_the_other_delivers() -> None:
    channel, provider = fares([circuit("a")])
    assert (channel.state, channel.workers, channel.serving) == ("delivering", 1, 2)
    assert (provider.state, provider.workers, provider.serving) == ("down", 1, 2)


def test_with_a_fallback_left_it_delivers() -> None:
    providers = ("primary", "backup")
    channel, *others = fares([circuit("a"), circuit("b")], providers=providers)
    assert channel.state == "delivering"
    assert [status.state for status in others] == ["down", "delivering"]


def test_a_provider_held_open_by_hand_counts_as_one_that_is_not_asked() -> None:
    channel, provider = fares([circuit("a", phase=Phase.DISABLED)], serving=frozenset({"a"}))
    assert (channel.state, provider.state) == ("suspended", "disabled")


def test_what_was_found_by_a_worker_that_is_gone_stops_nobody() -> None:
    channel, _ = fares([circuit("gone")], serving=frozenset({"a"}))
    assert channel.state == "delivering"


def test_a_pause_is_told_before_all_else() -> None:
    channel, _ = fares([circuit("a"), circuit("b")], pause=PAUSE)
    assert (channel.state, channel.reason) == ("paused", "cli jane@desk: moving")
