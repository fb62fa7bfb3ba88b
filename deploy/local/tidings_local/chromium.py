"""Finds the Chromium that tests of pages use."""

import shutil
from pathlib import Path
from typing import Final

from tidings_local.errors import NotInstalled

WITHOUT_WINDOWS: Final = "chromium-headless-shell"
"""The same engine in a program that has no windows: a test of a page takes two thirds of the CPU."""
NAMES: Final = (
    WITHOUT_WINDOWS,
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
)
ON_MACS: Final = (
    Path("/Applications/Chromium.app/Contents/MacOS/Chromium"),
    Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"),
)


def find_chromium() -> Path:
    """The browser's program: without windows, if there is a choice.

    Raises:
        NotInstalled: There is none.
    """
    for name in NAMES:
        if found := shutil.which(name):
            return Path(found)
    for path in ON_MACS:
        if path.exists():
            return path
    raise NotInstalled("Chromium", "PATH")


def find_chromium_without_windows() -> Path:
    """The program that has no windows.

    Raises:
        NotInstalled: It is not there, whether or not a whole Chromium is.
    """
    if found := shutil.which(WITHOUT_WINDOWS):
        return Path(found)
    raise NotInstalled("Chromium", "PATH")
