"""Masked recipients: recognisable to those who know them, useless to those who don't."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.delivery.masking import mask


@pytest.mark.parametrize(
    ("recipient", "masked"),
    [
        ("jane@example.com", "j…@example.com"),
        ("a@example.com", "…@example.com"),
        ('"odd@local"@example.com', '"…@example.com'),
        ("+14155550123", "+1415•••23"),
        ("+2901234", "+2•••34"),
        ("https://hooks.example.com/T0/B0?key=k", "https://hooks.example.com/…"),
        ("https://user:pass@hooks.example.com:8443/x", "https://hooks.example.com:8443/…"),
        ("https://example.com", "https://example.com/…"),
        ("https://[half", "…"),
        ("user-4711", "u…"),
        ("", "…"),
        ("…", "•••"),
    ],
)
def test_each_kind_of_recipient_is_masked_in_its_own_way(recipient: str, masked: str) -> None:
    assert mask(recipient) == masked


@given(st.emails())
def test_an_address_keeps_its_domain_and_loses_its_local_part(address: str) -> None:
    local, _, domain = address.rpartition("@")
    masked = mask(address)
    assert masked != address
    assert masked.endswith(f"@{domain}")
    assert len(masked) - len(domain) <= 3 or len(local) <= 1


@given(st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True))
def test_a_number_hides_at_least_three_digits_and_how_many_they_are(number: str) -> None:
    masked = mask(number)
    assert masked != number
    assert sum(character.isdigit() for character in masked) <= len(number) - 1 - 4
    assert "•••" in masked


@given(
    st.sampled_from(["https", "http"]),
    st.from_regex(r"[a-z]{1,10}\.example", fullmatch=True),
    st.from_regex(r"(/[A-Za-z0-9]{5,12}){1,3}(\?key=[a-z0-9]{4})?", fullmatch=True),
)
def test_a_url_keeps_nothing_behind_its_host(scheme: str, host: str, path: str) -> None:
    assert mask(f"{scheme}://{host}{path}") == f"{scheme}://{host}/…"


@given(st.text(min_size=1))
def test_whatever_it_is_it_never_comes_back_as_it_was_nor_breaks_a_line(recipient: str) -> None:
    masked = mask(recipient)
    assert masked not in ({recipient} - {"•••"})
    assert masked.isprintable()
