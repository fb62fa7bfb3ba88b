"""Reads the templates' folder into memory: every file's text, and the template that it belongs to.

As everything is in memory, a template can't access other files of the machine, and rendering never
touches the disk.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Final

from tidings.templates.names import LOCALE_RULE, NAME_RULE, canonical, is_locale, is_name

SUFFIX: Final = ".j2"
_LARGEST_FILE: Final = 512 * 1024
_DEEPEST: Final = 8

Folder = Mapping[str, str]
"""The parts of one template in one locale: part → path below the root."""


class Level(StrEnum):
    """The severity of a problem."""

    ERROR = "error"
    """Messages fail, or a file is not used."""
    WARNING = "warning"
    """Messages are rendered, but perhaps not as intended."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something to fix in the templates' folder."""

    level: Level
    file: str
    """Path below the root."""
    message: str
    line: int | None = None
    template: str | None = None

    def __str__(self) -> str:
        line = f", line {self.line}" if self.line else ""
        return f"{self.level}: {self.file}{line}: {self.message}"


@dataclass(frozen=True, slots=True)
class Library:
    """The files of the root, and the templates they form."""

    root: Path
    sources: Mapping[str, str] = field(default_factory=dict)
    """Path below the root → text."""
    templates: Mapping[str, Mapping[str, Folder]] = field(default_factory=dict)
    """Name → locale → part → path."""
    problems: tuple[Problem, ...] = ()

    @property
    def digest(self) -> str:
        """A hash of all files, in twelve hex digits; independent of the folder's location."""
        whole = sha256()
        for path, text in sorted(self.sources.items()):
            whole.update(f"{path}\0{len(text)}\0{text}".encode())
        return whole.hexdigest()[:12]


def read_library(root: Path) -> Library:
    """Read a folder of templates. An unreadable file becomes a problem of the library, not an exception."""
    sources: dict[str, str] = {}
    problems: list[Problem] = []
    if not root.is_dir():
        problems.append(Problem(Level.ERROR, ".", f"{root} is not a folder"))
    for path in _files(root):
        relative = path.relative_to(root).as_posix()
        text = _text(root, path)
        if isinstance(text, UnreadableFile):
            problems.append(Problem(Level.ERROR, relative, text.why))
        else:
            sources[relative] = text
    templates, misplaced = _catalogue(sources)
    return Library(root, sources, templates, (*problems, *misplaced))


def fingerprint(root: Path) -> frozenset[tuple[str, int, int]]:
    """Changes if a file of the root is added, removed or written."""
    return frozenset(_signature(path) for path in _files(root))


def _signature(path: Path) -> tuple[str, int, int]:
    try:
        status = path.stat()
    except OSError:
        return str(path), 0, 0
    return str(path), status.st_mtime_ns, status.st_size


def _files(root: Path) -> Iterator[Path]:
    # Links are followed: Kubernetes mounts a ConfigMap as links to links.
    for folder, folders, names in os.walk(root, followlinks=True):
        depth = len(Path(folder).relative_to(root).parts)
        folders[:] = [] if depth >= _DEEPEST else sorted(_visible(folders))
        yield from (Path(folder, name) for name in sorted(_visible(names)))


def _visible(names: list[str]) -> Iterator[str]:
    return (name for name in names if not name.startswith("."))


@dataclass(frozen=True, slots=True)
class UnreadableFile:
    """The reason why a file is left out."""

    why: str


def _text(root: Path, path: Path) -> str | UnreadableFile:
    if path.suffix != SUFFIX:
        return UnreadableFile(f"is not a template: its name does not end in {SUFFIX}")
    if not path.resolve().is_relative_to(root.resolve()):
        return UnreadableFile("is a link that leads out of the templates' folder")
    try:
        raw = path.read_bytes()
    except OSError as error:
        return UnreadableFile(f"can't be read: {error.strerror}")
    if len(raw) > _LARGEST_FILE:
        return UnreadableFile(f"has {len(raw):,} bytes; at most {_LARGEST_FILE:,} are allowed")
    return _decoded(raw)


def _decoded(raw: bytes) -> str | UnreadableFile:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return UnreadableFile(f"is not UTF-8: byte {error.start + 1}")


def _catalogue(
    sources: Mapping[str, str],
) -> tuple[Mapping[str, Mapping[str, Folder]], list[Problem]]:
    templates: dict[str, dict[str, dict[str, str]]] = {}
    problems = []
    for path in sources:
        if is_shared(path):
            continue
        name, locale, part = _identity(path)
        if fault := _fault(name, locale):
            problems.append(Problem(Level.ERROR, path, fault))
            continue
        parts = templates.setdefault(name, {}).setdefault(canonical(locale), {})
        if other := parts.get(part):
            problems.append(Problem(Level.ERROR, path, f"is the same part as {other}"))
            continue
        parts[part] = path
    return templates, problems


def is_shared(path: str) -> bool:
    """Whether a file is only for inclusion: a name in its path starts with `_`."""
    return any(name.startswith("_") for name in path.split("/"))


def _identity(path: str) -> tuple[str, str, str]:
    pure = PurePosixPath(path)
    return pure.parent.parent.as_posix(), pure.parent.name, pure.name.removesuffix(SUFFIX)


def _fault(name: str, locale: str) -> str:
    if name in {"", "."} or not is_locale(locale):
        return (
            "belongs in a folder of its template and its locale, e.g. welcome/default/text.j2; "
            f"{LOCALE_RULE}, or default. Start the name with _ if it is only to be included"
        )
    return "" if is_name(name) else NAME_RULE
