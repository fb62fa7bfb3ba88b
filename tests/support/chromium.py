"""The browser of tests of pages."""

import os
import shutil
from typing import Final

import pytest

QUIET: Final = ("--no-sandbox", "--disable-background-networking", "--disable-component-update")
"""Arguments: it runs as root, and speaks to nobody but the page."""


def chromium() -> str:
    """Its program. Where there is none the test is skipped, and fails in CI."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None and not os.environ.get("CI"):
        pytest.skip("Chromium is not installed")
    assert found is not None
    return found
