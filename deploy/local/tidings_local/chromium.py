"""Finds the Chromium that tests of pages use."""

import shutil
from pathlib import Path
from typing import Final

from tidings_local.errors import NotInstalled

NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ON_MACS: Final = (
    Path("/Applications/Chromium.app/Contents/MacOS/Chromium"),
    Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"),
)


def find_chromium() -> Path:
    """The browser's program.

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
