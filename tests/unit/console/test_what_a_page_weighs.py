"""What a browser loads before it shows a first page: little, and a script that a person reads in a sitting."""

import gzip

from tidings.console.rendering import asset, assets

LINES = 300
FILES = 30_000
"""Bytes, compressed, of the 100,000 that a first page may have with all that it loads."""


def test_the_script_has_at_most_300_lines() -> None:
    assert len(assets()["console.js"].splitlines()) <= LINES


def test_styles_script_and_icons_leave_room_for_the_page() -> None:
    assert sum(len(gzip.compress(body, 5)) for body in assets().values()) <= FILES


def test_an_address_changes_with_its_file() -> None:
    addresses = {asset(name) for name in assets()}
    assert len(addresses) == len(assets())
    assert all("?v=" in address for address in addresses)
