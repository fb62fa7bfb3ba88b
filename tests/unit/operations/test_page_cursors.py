"""Cursors lead on in the list that they are of, and nowhere else."""

import base64

import pytest

from tidings.delivery.errors import InvalidRequest
from tidings.operations.page_cursors import DIGEST, _digest, decode, encode


def test_a_cursor_leads_to_its_place() -> None:
    assert decode(encode("17", ("jobs", ())), ("jobs", ()), int) == 17


@pytest.mark.parametrize("cursor", ["", "x", "é", "AAAA", encode("17", "other"), "A" * 500])
def test_what_is_no_cursor_of_this_list_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidRequest, match="no cursor of a list with these filters"):
        decode(cursor, "listed", int)


def test_a_forged_place_is_refused_too() -> None:
    forged = base64.urlsafe_b64encode(_digest("seven", "listed") + b"seven").decode()
    assert len(base64.urlsafe_b64decode(forged)) == DIGEST + 5
    with pytest.raises(InvalidRequest):
        decode(forged, "listed", int)
