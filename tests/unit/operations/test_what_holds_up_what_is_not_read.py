"""What is told of an id that no worker has read: channels that don't deliver, and what is in the lanes."""

from datetime import UTC, datetime, timedelta

from tidings.broker.topology.inspection import Depth
from tidings.operations.channels import DELIVERING, PAUSED, SUSPENDED, UNSERVED, ChannelStatus
from tidings.operations.waiting import WaitContext, describe_backlog

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_each_channel_that_does_not_deliver_is_named_and_what_waits_is_counted() -> None:
    known = (
        ChannelStatus("email", "", PAUSED, NOW - timedelta(seconds=29), "cli jane@desk: moving"),
        ChannelStatus("email", "primary", UNSERVED),
        ChannelStatus("sms", "", UNSERVED),
        ChannelStatus("webhook", "", UNSERVED),
        ChannelStatus("whatsapp", "", SUSPENDED),
        ChannelStatus("push", "", DELIVERING),
    )
    lanes = {
        name: Depth(name, "", count, 0)
        for name, count in (("tidings.email.high", 1_200), ("tidings.sms.low", 0))
    }
    assert describe_backlog(WaitContext(known, lanes), NOW) == (
        "email was paused 29s ago (cli jane@desk: moving); no worker runs for sms, webhook; "
        "no provider of whatsapp is available; 1,200 messages wait: 1,200 in tidings.email.high"
    )


def test_where_rabbitmq_is_away_nothing_is_said_to_wait() -> None:
    assert (
        describe_backlog(WaitContext(), NOW)
        == "RabbitMQ is unavailable, so the lanes can't be read"
    )
    lanes = {"tidings.sms.low": Depth("tidings.sms.low", "", 0, 1)}
    assert describe_backlog(WaitContext((), lanes), NOW) == "no message waits in a lane"
