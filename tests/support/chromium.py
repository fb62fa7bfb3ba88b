"""The browser of tests of pages."""

import os
from typing import Final

import pytest

from tidings_local.chromium import find_chromium
from tidings_local.errors import NotInstalled

QUIET: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
)
"""Arguments: it runs as root, and speaks to nobody but the page."""


def chromium() -> str:
    """Its program. Where there is none the test is skipped, and fails in CI."""
    try:
        return str(find_chromium())
    except NotInstalled as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
