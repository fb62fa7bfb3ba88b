"""How often Python looks for garbage."""

import gc


def collect_seldom() -> None:
    """What is loaded by now stays until the end: looking through it for garbage again and again is a
    good part of a worker's time under load. Messages leave next to no cycles behind."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(150_000, 20, 50)
