"""Wrong keys are counted by address, for a while."""

import pytest

from tidings.console import wrong_keys
from tidings.console.wrong_keys import WINDOW, WrongKeys


def test_each_address_has_a_count_and_a_window_of_its_own() -> None:
    counted = WrongKeys()
    assert [counted.count("192.0.2.1", now) for now in (0, 1, WINDOW)] == [1, 2, 3]
    assert counted.count("192.0.2.2", 1) == 1
    assert counted.count("192.0.2.1", WINDOW + 1) == 1


def test_of_ipv6_the_network_counts_that_one_person_has_whole() -> None:
    counted = WrongKeys()
    assert counted.count("2001:db8::1", 0) == 1
    assert counted.count("2001:db8::ffff:2", 0) == 2
    assert counted.count("2001:db8:0:1::1", 0) == 1
    assert counted.count("fe80::1%eth0", 0) == 1
    assert [counted.count(f"::ffff:192.0.2.{it}", 0) for it in (1, 2)] == [1, 1]
    assert counted.count("a socket", 0) == 1


def test_many_addresses_take_a_bounded_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wrong_keys, "ADDRESSES", 10)
    counted = WrongKeys()
    for number in range(1_000):
        counted.count(f"192.0.{number // 256}.{number % 256}", float(number) / 100)
    assert len(counted._windows) <= 10
