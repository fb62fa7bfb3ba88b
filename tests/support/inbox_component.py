"""The inbox component in `clients/inbox`: what it is built and checked with, from npm, and what it is built to."""

import json
import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Final

import pytest
from tests.support import npm

from tidings_local.errors import LocalStackError

ROOT: Final = Path(__file__).parents[2]
SOURCE: Final = ROOT / "clients" / "inbox"
BUILT: Final = SOURCE / "served"
WANTED: Final = ROOT / "tests" / "browser" / "package.json"
FOLDER: Final = ROOT / ".local" / "inbox-component"


@cache
def node_modules() -> Path:
    """The folder of the packages. A test that needs them is skipped where they can't be had, and fails in CI."""
    try:
        npm.install(WANTED, FOLDER)
    except LocalStackError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    return FOLDER / "node_modules"


def build(folder: Path, modules: Path) -> None:
    """Write what a page loads into a folder, as `npm run build` does."""
    script = json.loads((SOURCE / "package.json").read_text())["scripts"]["build"]
    path = f"{modules / '.bin'}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "OUT": str(folder)}
    subprocess.run(["sh", "-c", script], cwd=SOURCE, env=environment, check=True)


def main() -> None:
    """Build it where the API finds it: `make inbox`."""
    npm.install(WANTED, FOLDER)
    build(BUILT, FOLDER / "node_modules")


if __name__ == "__main__":
    main()
