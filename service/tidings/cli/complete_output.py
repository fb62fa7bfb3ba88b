"""Writes output completely or fails.

Python ignores short writes if `PYTHONUNBUFFERED` is set, as in our image, or if the pipe is non-blocking.
"""

import os
import select
from io import BufferedWriter, RawIOBase, TextIOWrapper
from typing import TYPE_CHECKING, TextIO

from tidings.cli.terminal import INSTEAD

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class CompleteWriter(RawIOBase):
    """Writes to a descriptor until everything is written.

    Args:
        name: Name of the stream, for errors.
    """

    def __init__(self, descriptor: int, name: str) -> None:
        self._descriptor = descriptor
        self._name = name

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        return True

    def write(self, data: "ReadableBuffer", /) -> int:
        """Write all data.

        Raises:
            OSError: The write failed; names the stream.
        """
        left = memoryview(data)
        size = len(left)
        while left:
            try:
                left = left[os.write(self._descriptor, left) :]
            except BlockingIOError:
                poll = select.poll()
                poll.register(self._descriptor, select.POLLOUT)
                poll.poll()
            except OSError as error:
                raise OSError(error.errno, error.strerror, self._name) from None
        return size


def complete(stream: TextIO, name: str) -> TextIO:
    """A stream on the same descriptor that writes completely."""
    if not isinstance(stream, TextIOWrapper):  # replaced by a test
        return stream
    stream.flush()
    return TextIOWrapper(
        BufferedWriter(CompleteWriter(stream.fileno(), name)),
        encoding=stream.encoding,
        errors=INSTEAD,
        line_buffering=stream.line_buffering or stream.write_through,
    )
