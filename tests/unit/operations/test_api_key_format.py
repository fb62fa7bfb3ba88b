"""The form of API keys."""

import pytest

from tidings.operations.api_key_format import digest, generate, is_well_formed, prefix_of_key


@pytest.mark.parametrize(("test", "begin"), [(False, "tk_live_"), (True, "tk_test_")])
def test_a_key_tells_its_kind_and_checks_itself(test: bool, begin: str) -> None:
    key = generate(test=test)
    assert key.startswith(begin)
    assert is_well_formed(key)
    assert prefix_of_key(key) == key[:16]
    assert generate(test=test) != key


def test_a_mistyped_or_cut_key_is_recognised() -> None:
    key = generate(test=False)
    other = "1" if key[20] == "0" else "0"
    for wrong in (key[:-1], key + "0", key[:20] + other + key[21:], key.upper(), "", "é" * 46):
        assert not is_well_formed(wrong)


def test_a_prefix_reveals_less_than_a_key_holds() -> None:
    key = generate(test=False)
    assert prefix_of_key(key) not in digest(key).hex()
    assert len(key) - len(prefix_of_key(key)) == 30
