"""Rows are read for deletion only if their own period may have passed."""

from tidings.ledger.retention import RetentionPeriods, RowDeletion

DAY = 86_400.0
MONTH = 30 * DAY


def test_a_tenant_s_shorter_period_reads_only_the_rows_of_that_tenant() -> None:
    periods = RetentionPeriods(MONTH, {}, {"brief": {"*": DAY}, "long": {"*": 12 * MONTH}})
    assert list(periods.row_by_row()) == [RowDeletion(MONTH), RowDeletion(DAY, tenant="brief")]


def test_shorter_periods_of_unsuccessful_states_read_only_rows_in_trouble() -> None:
    periods = RetentionPeriods(MONTH, {"failed": 7 * DAY}, {"brief": {"failed": DAY}})
    assert list(periods.row_by_row()) == [
        RowDeletion(MONTH),
        RowDeletion(7 * DAY, troubled=True),
        RowDeletion(DAY, troubled=True, tenant="brief"),
    ]


def test_a_tenant_s_period_is_kept_where_all_else_is_kept_for_ever() -> None:
    periods = RetentionPeriods(0, {}, {"brief": {"*": DAY}})
    assert list(periods.row_by_row()) == [RowDeletion(DAY, tenant="brief")]
