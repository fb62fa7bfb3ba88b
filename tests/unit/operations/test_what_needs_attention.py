"""What needs attention, from the numbers of one moment."""

from dataclasses import replace
from datetime import UTC, datetime

from tidings.ledger.operators.backlog import Backlog
from tidings.ledger.operators.dispatching import DispatchingBacklog, DispatchingOrder
from tidings.ledger.operators.processes import KnownProcess
from tidings.ledger.operators.rollups import Window
from tidings.ledger.operators.statistics import Rates, Statistics
from tidings.operations.attention import AttentionLevel, Concern, found
from tidings.operations.channels import DELIVERING, DOWN, PAUSED, UNSERVED, ChannelStatus
from tidings.operations.dispatching import DispatchingView
from tidings.operations.statistics import Depth, StatisticsView

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
WINDOW = Window(NOW, NOW, 60)
SCHEDULER = KnownProcess(
    "a", ("scheduler",), "host", 1, "0.4.0", (), "", None, since=NOW, seen_at=NOW, running=True
)
QUIET = StatisticsView(
    Statistics(WINDOW, None, Rates(), {}, (), {}, categories={"otp": Rates(p95=12.0)}),
    Backlog(3, 0, -60.0, {}),
    (Depth("tidings.email.high", "", 0, 1), Depth("tidings.email.retry.2m", "", 9, 0)),
    {"tidings.email.retry.2m": 3_600.0},
    (ChannelStatus("email", "", DELIVERING),),
    (),
)
DISPATCHING = DispatchingView((SCHEDULER,), None, DispatchingBacklog(None, 0, 0, None, 0, NOW))


def texts(
    view: StatisticsView = QUIET,
    scheduling: DispatchingView | None = DISPATCHING,
    targets: dict[str, float] | None = None,
    *,
    all_tenants: bool = True,
) -> list[str]:
    seen = found(view, (), scheduling, targets or {}, all_tenants=all_tenants)
    return [f"{each.level} {each.subject} {each.text}" for each in seen]


def test_nothing_does_where_everything_delivers_and_retries_wait_for_their_time() -> None:
    assert texts() == []


def test_a_queue_that_nobody_empties_does_and_the_dlq_without_an_archive() -> None:
    depths = (Depth("tidings.email.high", "", 7, 1), Depth("tidings.dead", "", 2, 0))
    view = replace(QUIET, depths=depths, oldest={"tidings.email.high": 400.0})
    assert texts(view) == [
        "fault queue 7 messages in tidings.email.high, the oldest for up to 6m 40s",
        "fault queue 2 dead letters in the DLQ, and no archive runs",
    ]


def test_a_provider_that_is_down_is_a_fault_and_an_order_of_a_person_a_warning_after_it() -> None:
    channels = (
        ChannelStatus("sms", "", PAUSED, NOW, "cli jane@desk: moving"),
        ChannelStatus("email", "primary", DOWN, NOW, "no answer"),
    )
    assert texts(replace(QUIET, channels=channels)) == [
        "fault channel email primary is down: no answer",
        "warning channel sms is paused: cli jane@desk: moving",
    ]


def test_a_channel_without_a_worker_is_said_once_and_not_for_each_provider() -> None:
    channels = (
        ChannelStatus("sms", "", UNSERVED, reason="no running worker serves it"),
        ChannelStatus("sms", "primary", UNSERVED),
    )
    assert texts(replace(QUIET, channels=channels)) == [
        "fault channel no worker serves sms: it waits in its lanes"
    ]


def test_schedulers_that_are_missing_paused_or_late_do() -> None:
    order = DispatchingOrder(True, "cli jane@desk", "INC-812", NOW)
    late = DispatchingBacklog(NOW, 4, 2, NOW, 2, NOW)
    assert texts(scheduling=DispatchingView((), order, late)) == [
        "fault scheduler no scheduler runs: nothing scheduled is sent, and no lost message is found",
        "fault schedule 2 schedules overdue",
        "warning scheduler dispatching was paused by cli jane@desk: INC-812",
    ]


def test_a_category_slower_than_its_target_does_and_a_server_that_is_away() -> None:
    view = replace(QUIET, errors=("RabbitMQ is unavailable",), depths=None)
    assert texts(view, targets={"otp": 10.0, "news": 1.0}) == [
        "fault server RabbitMQ is unavailable",
        "warning target otp takes 12s (p95); its target is 10s",
    ]
    assert texts(targets={"otp": 12.0}) == []


def test_a_tenant_is_told_nothing_that_concerns_all() -> None:
    channels = (ChannelStatus("email", "primary", DOWN, NOW, "no answer"),)
    view = replace(QUIET, channels=channels, backlog=Backlog(3, 1, 90.0, {}))
    seen = found(view, (), None, {}, all_tenants=False)
    assert [(each.level, each.subject) for each in seen] == [
        (AttentionLevel.FAULT, Concern.OVERDUE)
    ]
