"""What holds itself: memory that only the garbage collector frees, in pauses that everybody waits for."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def errors_that_hold_themselves(
    kind: type[BaseException] = BaseException,
) -> Iterator[list[str]]:
    """Filled at the end with the types of the errors that were dealt with and are not gone."""
    left: list[str] = []
    gc.collect()
    gc.freeze()  # what is alive now need not be walked again: a quarter of a second each time
    gc.disable()
    try:
        yield left
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        left += [type(leftover).__name__ for leftover in gc.garbage if isinstance(leftover, kind)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
