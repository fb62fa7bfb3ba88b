"""Keeps on disk what a sink has received, from one start of `make run` to the next."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, Generic, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from tidings_local.data_directory import write_private

T = TypeVar("T")

_BYTES: Final = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")


class Store(Generic[T]):
    """A file with a line of JSON for each thing received and its number; only its owner can read it."""

    def __init__(self, file: Path, kind: type[T]) -> None:
        """Reads and writes nothing yet."""
        self._file = file
        self._lines: TypeAdapter[tuple[int, T]] = TypeAdapter(tuple[int, kind], config=_BYTES)  # type: ignore[valid-type]

    def read(self) -> Iterator[tuple[int, T]]:
        """All records, oldest first. A killed writer may have left half a line."""
        try:
            lines = self._file.read_bytes().splitlines()
        except FileNotFoundError:
            return
        for line in lines:
            try:
                yield self._lines.validate_json(line)
            except ValidationError:
                continue

    def write(self, items: Iterable[tuple[int, T]]) -> None:
        """Keep these and no others."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        write_private(self._file, "".join(self._line(item).decode() for item in items))

    def append(self, item: tuple[int, T]) -> None:
        """Keep one more."""
        descriptor = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(self._line(item))

    def _line(self, item: tuple[int, T]) -> bytes:
        """Empty for what JSON can't say: half a surrogate pair in a header."""
        try:
            return self._lines.dump_json(item) + b"\n"
        except (PydanticSerializationError, UnicodeEncodeError):
            return b""
