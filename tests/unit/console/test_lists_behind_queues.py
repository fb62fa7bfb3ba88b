"""Where the overview leads from the number of messages in a queue."""

from tidings.broker.topology.layout import DEAD, lane_queue, retry_queue
from tidings.console.pages.overview import behind
from tidings.delivery.attempt import Lane
from tidings.delivery.delay import Delay


def test_each_queue_leads_to_its_notifications() -> None:
    lane = lane_queue(Lane("in_app", "urgent"))
    queued = {"channel": "in_app", "priority": "urgent", "state": "queued"}
    assert behind(lane) == ("/notifications", queued)
    waiting = {"channel": "sms", "state": "retrying"}
    assert behind(retry_queue("sms", Delay.parse("2m"))) == ("/notifications", waiting)
    assert behind(DEAD) == ("/failures", {})
