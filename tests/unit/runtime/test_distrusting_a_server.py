"""What TLS has against a server, however deep in other errors it lies."""

import ssl

import pytest

from tidings.runtime.certificates import distrust


def trouble(error: BaseException) -> str | None:
    return distrust(error, address="TIDINGS_URL", authority="TIDINGS_CA_FILE")


def test_it_is_found_below_what_a_client_library_made_of_it() -> None:
    outer, middle = RuntimeError("no connection"), OSError("failed")
    outer.__cause__, middle.__context__ = middle, ssl.SSLError(1, "wrong version number")
    assert "see that TIDINGS_URL leads to a port for TLS" in (trouble(outer) or "")


@pytest.mark.timeout(5)
def test_errors_that_come_from_each_other_are_nothing_of_it() -> None:
    first, other = RuntimeError("one"), RuntimeError("other")
    first.__context__, other.__context__ = other, first
    assert trouble(first) is None
