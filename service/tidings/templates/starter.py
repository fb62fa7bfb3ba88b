"""The starter templates, which `tidings templates init` copies and the tour sends."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

STARTER: Final = Path(__file__).parent / "starter"
"""Their folder, ready to be a root."""


def copy_starter(target: Path, *, overwrite: bool = False) -> tuple[Path, ...]:
    """Copy the starter templates into a folder, which is created if it doesn't exist.

    Args:
        target: The folder.
        overwrite: Replace existing files. Other files are never changed.

    Returns:
        The files written, below `target`.

    Raises:
        FileExistsError: Some of the files exist already; nothing was written.
    """
    files = tuple(_files())
    taken = [target / file for file in files if (target / file).exists()]
    if taken and not overwrite:
        raise FileExistsError(f"{len(taken)} of its files exist already, e.g. {taken[0]}")
    for file in files:
        (target / file).parent.mkdir(parents=True, exist_ok=True)
        (target / file).write_bytes((STARTER / file).read_bytes())
    return files


def _files() -> Iterator[Path]:
    return (path.relative_to(STARTER) for path in sorted(STARTER.rglob("*.j2")))
