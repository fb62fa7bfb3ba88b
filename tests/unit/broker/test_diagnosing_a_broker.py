"""What doctor makes of a server's version, capabilities, flags and idle queues."""

import pytest

from tidings.broker import diagnosis
from tidings.broker.topology.inspection import Depth, Difference, Kind, Server
from tidings.broker.topology.layout import topology
from tidings.delivery.delay import Delay
from tidings.delivery.ports import Finding, Verdict

ALL = diagnosis.CAPABILITIES | {"direct_reply_to"}
LAYOUT = topology({"email": [Delay(60)]})


def server(version: str, capabilities: frozenset[str] = ALL) -> list[Finding]:
    return list(diagnosis._server(Server("RabbitMQ", version, "rabbit@host", capabilities)))


@pytest.mark.parametrize("version", ["3.10.8", "3.13.7", "4.0.5", "4.3.0-rc.1"])
def test_a_version_that_can_dead_letter_at_least_once_is_well(version: str) -> None:
    assert [finding.verdict for finding in server(version)] == [Verdict.OK]


@pytest.mark.parametrize("version", ["3.9.29", "2.8.7", "", "unknown"])
def test_an_older_one_is_a_fault(version: str) -> None:
    (finding,) = server(version)
    assert finding.verdict is Verdict.FAULT
    assert "3.10" in finding.remedy


def test_a_proxy_that_takes_capabilities_away_is_a_fault_that_names_them() -> None:
    _, finding = server("4.0.5", frozenset({"basic.nack"}))
    assert finding.verdict is Verdict.FAULT
    assert "consumer_cancel_notify, publisher_confirms" in finding.detail


def test_without_the_stream_queue_flag_messages_can_be_lost() -> None:
    (finding,) = diagnosis._flags({"quorum_queue": True, "stream_queue": False})
    assert finding.verdict is Verdict.FAULT
    assert finding.remedy == "`rabbitmqctl enable_feature_flag stream_queue`"


def test_flags_that_a_newer_server_no_longer_lists_are_no_fault() -> None:
    assert list(diagnosis._flags({"khepri_db": True})) == []


def test_what_is_missing_is_one_warning_and_what_differs_a_fault_each_up_to_a_few() -> None:
    missing = [Difference(Kind.MISSING, f"tidings.{n}", "there is no such queue") for n in range(9)]
    different = [Difference(Kind.DIFFERENT, f"tidings.{n}", "x") for n in range(9)]
    found = list(diagnosis._topology([*missing, *different], LAYOUT))
    assert found[0].verdict is Verdict.WARNING
    assert "9 exchanges and queues are missing" in found[0].detail
    assert [finding.verdict for finding in found[1:]] == [Verdict.FAULT] * 5
    assert "and 5 more" in found[-1].detail


def test_queues_that_nobody_consumes_are_told_with_the_role_to_start() -> None:
    depths = [
        Depth("tidings.email.urgent", "", 0, 1),
        Depth("tidings.email.low", "", 1200, 0),
        Depth("tidings.email.retry.1m", "", 5, 0),
        Depth("tidings.sms.low", "", 7, 0),
        Depth("tidings.dead", "", 3, 0),
    ]
    worker, archive = diagnosis._consumers(depths, ["email"])
    assert "tidings.email.low" in worker.detail
    assert "retry" not in worker.detail
    assert "1,200" in worker.detail
    assert "tidings worker --channel email" in worker.remedy
    assert "tidings archive" in archive.remedy


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        ("ACCESS_REFUSED - Login was refused", "user and the password"),
        ("SSL: CERTIFICATE_VERIFY_FAILED", "TIDINGS_AMQP_CA_FILE"),
        ("RabbitMQ knows no such virtual host", "rabbitmqctl add_vhost shop"),
        ("111 Connection refused", "start RabbitMQ"),
        ("no answer in time", "start RabbitMQ"),
    ],
)
def test_each_way_not_to_connect_has_its_own_remedy(error: str, remedy: str) -> None:
    assert remedy in diagnosis._why_no_connection(error, "amqp://me:secret@broker/shop")
