"""Services that know incidents understand the end of one as the end of its beginning."""

import pytest

from tidings.alerts.senders import with_incident


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("pagerduty://I@K", "pagerduty://I@K?action=map&dedup=tidings-r1"),
        ("pagerduty://I@K/s?class=web", "pagerduty://I@K/s?class=web&action=map&dedup=tidings-r1"),
        ("pagerduty://I@K?dedup=ours", "pagerduty://I@K?dedup=ours&action=map"),
        ("pagerduty://I@K?action=trigger&dedup=x", "pagerduty://I@K?action=trigger&dedup=x"),
        ("slack://T1/B2/token", "slack://T1/B2/token"),
    ],
)
def test_a_receiver_that_knows_incidents_gets_the_rule_as_one(url: str, named: str) -> None:
    assert with_incident(url, "r1") == named
    assert with_incident(url, "") == url


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning")
def test_apprise_reads_the_incident_of_a_url() -> None:
    from apprise import Apprise

    services = Apprise()
    assert services.add(with_incident(f"pagerduty://{'i' * 32}@{'k' * 20}", "r1"))
    assert (services[0].dedup, services[0].action) == ("tidings-r1", "map")
