"""What doctor makes of PostgreSQL's version, durability, clock, tables and outbox."""

import pytest

from tidings.delivery.ports import Finding, Verdict
from tidings.ledger import diagnosis
from tidings.ledger.migrate import MigrationState

WELL = {
    "version": "15.4",
    "major": 15,
    "read_only": False,
    "fsync": True,
    "synchronous_commit": "on",
}


def server(**values: object) -> list[Finding]:
    return list(diagnosis._server({**WELL, **values}))


def test_a_server_in_order_is_one_good_finding() -> None:
    assert [finding.verdict for finding in server()] == [Verdict.OK]


def test_an_old_server_is_a_fault() -> None:
    (finding,) = server(major=12, version="12.1")
    assert finding.verdict is Verdict.FAULT
    assert "upgrade" in finding.remedy


def test_a_standby_is_a_fault() -> None:
    (finding,) = server(read_only=True)
    assert finding.verdict is Verdict.FAULT
    assert "primary" in finding.remedy


@pytest.mark.parametrize("values", [{"fsync": False}, {"synchronous_commit": "off"}], ids=str)
def test_a_server_that_may_forget_is_a_warning(values: dict[str, object]) -> None:
    assert [finding.verdict for finding in server(**values)] == [Verdict.OK, Verdict.WARNING]


@pytest.mark.parametrize(
    ("skew", "verdict"),
    [
        (0.02, Verdict.OK),
        (-0.9, Verdict.OK),
        (2, Verdict.WARNING),
        (-29, Verdict.WARNING),
        (30, Verdict.FAULT),
        (-3600, Verdict.FAULT),
    ],
)
def test_a_clock_is_judged_by_how_far_it_is_off(skew: float, verdict: Verdict) -> None:
    finding = diagnosis._clock(skew)
    assert finding.verdict is verdict
    assert ("ahead" if skew > 0 else "behind") in finding.detail


@pytest.mark.parametrize(
    ("current", "verdict"), [("0002", Verdict.OK), ("0003", Verdict.OK), ("0001", Verdict.FAULT)]
)
def test_tables_must_be_as_new_as_the_code(current: str, verdict: Verdict) -> None:
    assert diagnosis._migrations(MigrationState(current, "0002")).verdict is verdict


def test_no_tables_at_all_are_a_fault_that_migrate_mends() -> None:
    assert diagnosis._migrations(MigrationState(None, "0001")).remedy == "run `tidings migrate`"


def test_a_next_week_without_a_partition_is_a_warning() -> None:
    (finding,) = diagnosis._partitions(6 * 86_400.0)
    assert finding.verdict is Verdict.WARNING
    assert "GRANT EXECUTE" in finding.remedy
    assert list(diagnosis._partitions(14 * 86_400.0)) == []
