"""The quota of a key, at any time."""

import pytest

from tidings.api.limits import BUCKETS, Quotas
from tidings.api.problems import ApiProblem


@pytest.mark.parametrize(
    ("per_second", "policy"),
    [
        (5000.0, b'"key";q=5000;w=1'),
        (100 / 60, b'"key";q=100;w=60'),
        (0.5, b'"key";q=30;w=60'),
        (10 / 3600, b'"key";q=10;w=3600'),
        (1e-9, b'"key";q=1;w=3600'),
    ],
)
def test_a_policy_is_stated_in_whole_numbers(per_second: float, policy: bytes) -> None:
    assert Quotas("key", per_second).policy == policy


def test_a_quota_is_used_up_and_comes_back_bit_by_bit() -> None:
    quotas = Quotas("key", 2.0)
    assert quotas.take("a", 10.0).header == b'"key";r=1;t=1'
    assert quotas.take("a", 10.0).header == b'"key";r=0;t=1'
    with pytest.raises(ApiProblem) as refused:
        quotas.take("a", 10.0)
    assert refused.value.headers["Retry-After"] == "1"
    assert quotas.take("b", 10.0).remaining == 1
    assert quotas.take("a", 10.6).remaining == 0
    assert quotas.take("a", 100.0).remaining == 1


def test_a_refused_request_uses_up_nothing() -> None:
    quotas = Quotas("key", 1.0)
    quotas.take("a", 0.0)
    for _ in range(5):
        with pytest.raises(ApiProblem):
            quotas.take("a", 0.5)
    assert quotas.take("a", 1.0).remaining == 0


def test_whole_quotas_are_dropped_once_there_are_many_and_used_ones_kept() -> None:
    quotas = Quotas("key", 2.0)
    for n in range(BUCKETS):
        quotas.take(f"user {n}", 0.0)
    quotas.take("busy", 9.9)
    quotas.take("busy", 9.9)
    quotas.take("new", 10.0)
    assert len(quotas) == 2
    with pytest.raises(ApiProblem):
        quotas.take("busy", 10.0)


def test_many_used_quotas_are_not_looked_through_at_every_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    quotas, sweeps = Quotas("key", 1e-9), 0
    sweep = quotas._sweep

    def counted(now: float) -> None:
        nonlocal sweeps
        sweeps += 1
        sweep(now)

    monkeypatch.setattr(quotas, "_sweep", counted)
    for n in range(3 * BUCKETS):
        quotas.take(f"user {n}", 0.0)
    assert (sweeps, len(quotas)) == (2, 3 * BUCKETS)
